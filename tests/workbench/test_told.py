"""A figure and its reading go together, and no name in a reading becomes markup."""

import datetime as dt
from types import SimpleNamespace

import plotly.graph_objects as go
import polars as pl
import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from bq import surface
from bq.tuning.results import Tuned
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


def training_of(own) -> SimpleNamespace:
    """A training without predictions."""
    return SimpleNamespace(oos=pl.DataFrame(schema={"model": pl.String}))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        pytest.param(lambda own: tell.calibration(None, own), "gives no probabilities", id="calibration"),
        pytest.param(lambda own: tell.confusion(None, own), "no confusion matrix", id="confusion"),
        pytest.param(lambda own: tell.against_direct(None, None, own), "nothing to compare", id="direct"),
        pytest.param(lambda own: tell.second_tier(None, own), "no second tier", id="second tier"),
        pytest.param(lambda own: tell.thresholds(training_of(own), own), "There is no threshold", id="thresholds"),
        pytest.param(lambda own: tell.success_calibration(None, own), "no second tier", id="its calibration"),
    ],
)
def test_what_does_not_apply_to_a_strategy_is_a_sentence_without_a_figure(told, why):
    made = told(surface.params("forecast"))
    assert made.shown is None and why in made.sentence


def search(*states: str) -> Tuned:
    """A search of one parameter without a holdout."""
    rows = [
        {"number": i, "state": state, "value": float(i), "trades": 9, "reason": "", "values": {"stop": 1.0 + i}}
        for i, state in enumerate(states)
    ]
    ranges = {"stop": distribution_to_json(FloatDistribution(1.0, 20.0))}
    results = {"objective": "sharpe_ratio", "study": "s", "ranges": ranges, "trials": rows, "importances": []}
    days = pl.date_range(dt.date(2020, 1, 6), dt.date(2020, 1, 7), "1d", eager=True)
    curves = pl.DataFrame({"session": days, "part": "validation", "winner": [0.1, -0.2], "buy_and_hold": [0.0, 0.1]})
    return Tuned(results, curves)


@pytest.mark.parametrize("show", [tell.parameter_importances, tell.slices, tell.contour, tell.parallel])
@pytest.mark.parametrize(
    ("states", "why"),
    [
        pytest.param(["feasible"] * 9, "Only 9 trials, 9 feasible", id="few"),
        pytest.param(["infeasible"] * 12, "12 trials, 0 feasible", id="none feasible"),
    ],
)
def test_too_few_trials_say_so_instead_of_drawing_what_mattered(show, states, why):
    told = show(search(*states))
    assert told.shown is None and why in told.sentence


def test_one_parameter_has_no_plane_to_draw_but_its_slice():
    tuned = search(*["feasible"] * 12)
    assert tell.parallel(tuned).shown.data and tell.history(tuned).shown.data
    assert tell.contour(tuned).sentence == "Fewer than two parameters are on a scale."
    assert (
        tell.slices(tuned).sentence == "The best quarter of the feasible trials (3) has stop 10 to 12 (tried: 1 to 12)."
    )


def test_a_search_is_shown_on_what_it_chose_on_and_says_where_it_holds_nothing_out():
    tuned = search("feasible")
    told = tell.curves(tuned, chosen=True)
    assert [trace.name for trace in told.shown.data[::2]] == ["winner", "buy and hold"]
    assert told.sentence == (
        "On the validation, after 2 sessions, the sums end with winner at -0.10 (0.20) and buy and hold at +0.10 "
        "(0.00); in brackets the maximum drawdown."
    )
    assert tell.curves(tuned, chosen=False).sentence.startswith("This search holds no sessions out")
