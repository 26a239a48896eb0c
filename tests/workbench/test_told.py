"""A figure and its reading go together, and no name in a reading becomes markup."""

import plotly.graph_objects as go
import polars as pl
import pytest

from bq import surface
from bq.workbench import reading, tell
from bq.workbench.told import Reading, Told

ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook would show of an object."""

    def show(told) -> list:
        shown = []
        monkeypatch.setattr("IPython.display.display", shown.append)
        told._ipython_display_()
        return shown

    return show


def test_a_figure_is_followed_by_its_sentence(displayed):
    figure, sentence = displayed(Told(go.Figure(), "It rises."))
    assert isinstance(figure, go.Figure) and repr(sentence) == "It rises."


def test_what_has_nothing_to_show_is_a_sentence_alone(displayed):
    (sentence,) = displayed(Told(None, "This strategy has no second tier."))
    assert repr(sentence) == "This strategy has no second tier."


def test_a_symbol_that_is_markup_stays_text_in_a_reading():
    table = pl.DataFrame({"kind": [ATTACK], "events": [2], "closed": [2], "mean_outcome": [0.1], "win_rate": [1.0]})
    other = table.with_columns(kind=pl.lit("b"), mean_outcome=pl.lit(0.0))
    shown = Reading(reading.kinds(pl.concat([table, other]), "kind"))._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;alert(1)&lt;/script&gt; earned most" in shown


def test_findings_repeat_what_the_figures_said():
    found = tell.findings("A sentence of its own.", Told(None, "What a figure said."))
    assert found.sentences == ("A sentence of its own.", "What a figure said.")


@pytest.mark.parametrize("strategy", ["butterfly", "forecast", "breakout"])
def test_shipped_parameters_differ_in_nothing_from_the_shipped_file(strategy):
    told = tell.parameters(surface.params(strategy))
    assert told.sentence == f"0 parameters of {strategy} differ from the shipped file."
    assert (told.table["here"] == told.table["shipped"]).all()


def test_what_was_turned_stands_beside_what_is_shipped():
    told = tell.parameters(surface.params("butterfly", "", "gate.draws=2000", symbols="AAPL,MSFT", folds=4))
    rows = {name: (here, shipped) for name, here, shipped in told.table.rows()}
    assert rows["market.symbols"] == ("AAPL, MSFT", "–")
    assert rows["learning.folds"] == ("4", "6") and rows["gate.draws"] == ("2000", "10000")
    assert told.sentence == "3 parameters of butterfly differ from the shipped file."
