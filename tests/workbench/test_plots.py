import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from bq.strategies.contract import Exhibit
from bq.workbench import plots, theme

EMPTY = pl.DataFrame(schema={"x": pl.Date, "y": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64})
TITLES = {"title": "A title", "x_title": "session", "y_title": "return [%]"}
BINS = EMPTY.rename({"x": "predicted", "y": "observed"}).cast({"predicted": pl.Float64}, strict=False)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda: plots.lines(EMPTY, "x", ["y"], **TITLES), id="lines"),
        pytest.param(lambda: plots.cumulative(EMPTY, "x", ["y"], **TITLES), id="cumulative"),
        pytest.param(lambda: plots.growth(EMPTY, "x", ["y"], title="A title", x_title="session"), id="growth"),
        pytest.param(lambda: plots.bars(EMPTY, "x", ["y"], **TITLES), id="bars"),
        pytest.param(lambda: plots.histogram(EMPTY, "y", title="A title", x_title="return"), id="histogram"),
        pytest.param(
            lambda: plots.heatmap(np.full((1, 2), np.nan), ["a"], [1, 2], z_title="z", **TITLES), id="heatmap"
        ),
        pytest.param(lambda: plots.calibration(BINS, title="A title"), id="calibration"),
        pytest.param(
            lambda: plots.confusion(np.zeros((2, 2)), "ab", majority_share=0.5, title="A title"), id="confusion"
        ),
        pytest.param(lambda: plots.importance([], [], title="A title", x_title="gain"), id="importance"),
        pytest.param(
            lambda: plots.interval_dots(
                EMPTY, label="x", value="y", low="low", high="high", baseline=0, title="A title", x_title="uplift"
            ),
            id="interval_dots",
        ),
    ],
)
def test_a_figure_without_data_says_why_instead_of_drawing_axes(draw):
    figure = draw()
    assert not figure.data
    assert figure.layout.title.text == "A title"
    assert len(figure.layout.annotations[0].text) > 10
    assert figure.layout.xaxis.visible is False


def test_a_column_without_numbers_counts_as_no_data():
    frame = pl.DataFrame({"x": [1, 2], "y": [None, float("nan")]})
    assert (
        "None of the 2 rows has a number in y." in plots.lines(frame, "x", ["y"], **TITLES).layout.annotations[0].text
    )


def test_drawdown_is_the_distance_to_the_highest_point_and_starts_at_zero():
    frame = pl.DataFrame({"x": [3, 1, 2, 4], "y": [-3.0, -1.0, 4.0, None]})
    total, drawdown = plots.cumulative(frame, "x", ["y"], **TITLES).data
    assert total.x == (1, 2, 3, 4)
    assert total.y == (-1.0, 3.0, 0.0, None)
    assert drawdown.y == (-1.0, 0.0, -3.0, None)


def test_growth_is_of_one_and_its_drawdown_the_share_lost():
    frame = pl.DataFrame({"x": [3, 1, 2, 4], "y": [150.0, 100.0, 200.0, None], "z": [5.0, None, 10.0, 20.0]})
    y, y_below, z, z_below = plots.growth(frame, "x", ["y", "z"], title="A title", x_title="session").data
    assert (y.x, y.y, y_below.y) == ((1, 2, 3, 4), (1.0, 2.0, 1.5, None), (0.0, 0.0, -25.0, None))
    assert (z.y, z_below.y) == ((None, 1.0, 0.5, 2.0), (None, 0.0, -50.0, 0.0))


def test_an_exhibit_is_shown_with_its_figure_and_its_table(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    levels = pl.DataFrame({"session": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)], "equity": [1e6, 1.1e6]})
    table = pl.DataFrame({"figure": ["a"]})
    both = plots.exhibits([Exhibit("One", "<b>why</b>", table, levels), Exhibit("Two", "because", table)])
    both._ipython_display_()
    assert [type(part).__name__ for part in shown] == ["HTML", "Figure", "Reading", "Table", "HTML", "Table"]
    assert shown[0].data == "<h3>One</h3><p>&lt;b&gt;why&lt;/b&gt;</p>"
    assert shown[1].data[0].y == (1.0, 1.1) and shown[1].layout.title.text == "One"
    assert "Two\nbecause" in repr(both)


def test_histogram_groups_are_shares_of_their_own_size():
    frame = pl.DataFrame({"y": np.arange(300.0), "side": ["call"] * 100 + ["put"] * 200})
    traces = plots.histogram(frame, "y", by="side", title="A title", x_title="return").data
    assert [trace.name for trace in traces] == ["call (n=100)", "put (n=200)"]
    assert [round(sum(trace.y[:-1])) for trace in traces] == [100, 100]
    assert all(trace.y[-1] == trace.y[-2] for trace in traces), "the last step reaches the end"


def test_the_ends_of_a_histogram_say_that_they_hold_what_lies_beyond():
    figure = plots.histogram(pl.DataFrame({"y": [*np.arange(1000.0), 1e6]}), "y", title="A title", x_title="return")
    low, high = (note.text for note in figure.layout.annotations)
    edges = figure.data[0].x
    assert low == f"≤ {edges[1]:.3g}" and high == f"≥ {edges[-2]:.3g}"
    assert figure.layout.xaxis.range[0] < edges[0] and figure.layout.xaxis.range[1] > edges[-1]


def test_accuracy_stands_beside_the_largest_class():
    figure = plots.confusion([[3, 1], [2, 4]], ["loss", "gain"], majority_share=0.6, title="A title")
    assert "accuracy 0.70, largest class alone 0.60, n = 10" in figure.layout.title.text.replace("<br>", " ")


def test_importance_shows_the_largest_first_and_cuts_long_names():
    figure = plots.importance(["a_very_long_name_of_a_feature_5d", "b"], [1, 2], title="A title", x_title="gain")
    assert figure.data[0].x == (2.0, 1.0)
    assert figure.layout.yaxis.ticktext == ("b", "a_very_long_nam…feature_5d")


def test_figures_are_small_and_plain_json():
    days = pl.date_range(pl.date(2000, 1, 1), pl.date(2020, 1, 1), eager=True)
    frame = pl.DataFrame({"x": days, "y": np.random.default_rng(7).normal(size=len(days))})
    figure = plots.lines(frame, "x", ["y"], **TITLES)
    text = figure.to_json()
    assert len(text) < 60_000
    assert "bdata" not in text
    assert json.loads(text)["data"][0]["x"][-1] == "2020-01-01"
    assert "points drawn" in figure.layout.title.text


def test_text_in_data_is_not_read_as_markup():
    frame = pl.DataFrame({"x": ["<b>A</b>"], "y": [1.0]})
    figure = plots.bars(frame, "x", ["y"], **TITLES | {"title": "<i>a</i>"})
    assert figure.data[0].x == ("&lt;b>A&lt;/b>",)
    assert figure.layout.title.text == "&lt;i>a&lt;/i>"


def test_titles_break_into_lines_a_phone_can_show():
    figure = plots.no_data("Cumulative net return of the five best opportunities a day, out of sample", "No run yet.")
    assert max(map(len, figure.layout.title.text.split("<br>"))) <= theme.TITLE_CHARACTERS
