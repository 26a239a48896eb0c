"""The small tables and sentences of the notebooks."""

import polars as pl
import pytest

from bq.learning import explore


def ic(**values: float | None) -> pl.DataFrame:
    rows = [
        {"feature": name, "ic": value, "low": None if value is None else value - 0.1, "high": None, "sessions": 9}
        for name, value in values.items()
    ]
    kinds = {"feature": pl.String, "ic": pl.Float64, "low": pl.Float64, "high": pl.Float64, "sessions": pl.Int64}
    return pl.DataFrame(rows, schema=kinds).with_columns(high=pl.col("ic") + 0.1)


def test_the_strongest_feature_is_named_beside_the_rule_score():
    text = explore.strongest(ic(gamma=-0.19, score=-0.07, delta=0.02))
    assert text == (
        "Strongest feature: gamma, rank IC -0.190 [-0.290, -0.090] over 9 sessions; the rule score has -0.070."
    )


def test_without_a_rank_ic_the_reason_is_said():
    assert "five events" in explore.strongest(ic(gamma=None, score=None))


def test_deciles_hold_a_tenth_each_in_order():
    frame = pl.DataFrame({"x": [float(i) for i in range(100)], "y": [float(i) ** 2 for i in range(100)]})
    table = explore.deciles(frame, by="x", means=["y"])
    assert table["decile"].to_list() == list(range(1, 11)) and set(table["n"]) == {10}
    assert table["y"][0] == pytest.approx(sum(i**2 for i in range(10)) / 10)


def test_missing_features_are_counted_and_not_filled():
    frame = pl.DataFrame({"a": [1.0, None, float("nan"), 3.0]})
    row = explore.describe_features(frame, ["a"]).row(0, named=True)
    assert (row["missing"], row["mean"]) == (0.5, 2.0)
