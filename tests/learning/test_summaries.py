"""The small tables of the notebooks."""

import datetime as dt

import polars as pl
import pytest

from bq.learning import summaries


def test_deciles_hold_a_tenth_each_in_order():
    frame = pl.DataFrame({"x": [float(i) for i in range(100)], "y": [float(i) ** 2 for i in range(100)]})
    table = summaries.deciles(frame, by="x", means=["y"])
    assert table["decile"].to_list() == list(range(1, 11)) and set(table["n"]) == {10}
    assert table["y"][0] == pytest.approx(sum(i**2 for i in range(10)) / 10)


def test_missing_features_are_counted_and_not_filled():
    frame = pl.DataFrame({"a": [1.0, None, float("nan"), 3.0]})
    row = summaries.describe_features(frame, ["a"]).row(0, named=True)
    assert (row["missing"], row["mean"]) == (0.5, 2.0)


EVENTS = pl.DataFrame(
    {
        "symbol": ["A", "B", "A", "A"],
        "session": [dt.date(2019, 12, 30), dt.date(2020, 1, 2), dt.date(2020, 1, 2), dt.date(2020, 1, 3)],
        "kind": ["fast", "slow", "fast", "fast"],
        "outcome": [0.5, -1.0, -0.1, None],
        "label": [1, 0, 0, None],
        "score": [1.0, 2.0, 3.0, 5.0],
    }
)


def test_kinds_count_open_events_and_average_the_closed():
    fast, slow = summaries.by_kind(EVENTS, "kind").to_dicts()
    assert (fast["events"], fast["closed"], fast["symbols"]) == (3, 2, 1)
    assert fast["mean_outcome"] == pytest.approx(0.2) and fast["win_rate"] == 0.5 and fast["mean_score"] == 3.0
    assert (slow["kind"], slow["mean_outcome"]) == ("slow", -1.0)


def test_years_have_a_column_for_each_kind_in_order():
    assert summaries.by_year(EVENTS, "kind").rows() == [("2019", 1, None), ("2020", 2, 1)]


def test_refused_dates_are_counted_by_reason_the_most_frequent_first():
    refused = pl.DataFrame({"symbol": ["A", "A", "B"], "reason": ["no bar", "too short", "too short"]})
    assert summaries.by_reason(refused).rows() == [("too short", 2, 2), ("no bar", 1, 1)]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        pytest.param(("Loss", "Win"), [("Loss", 2, -0.55), ("Win", 1, 0.5)], id="classes"),
        pytest.param((), [("all", 3, -0.2)], id="none"),
    ],
)
def test_classes_have_shares_of_the_closed_events(classes, expected):
    table = summaries.by_class(EVENTS.filter(pl.col("outcome").is_not_null()), classes)
    assert table.select("class", "events", pl.col("mean_outcome").round(9)).rows() == expected
    assert table["share"].sum() == pytest.approx(1.0)
