"""Quantiles of a cross-section: figures that alphalens-reloaded 0.5.1 gives in an environment of its own."""

import datetime as dt

import numpy as np
import polars as pl

from bq.stats import quantiles

RNG = np.random.default_rng(31)
NAMES, SESSIONS = 20, 12
BY = RNG.normal(size=NAMES * SESSIONS)
OUTCOME = 0.01 * (0.3 * BY + RNG.normal(size=NAMES * SESSIONS))
TABLE = pl.DataFrame(
    {
        "session": [dt.date(2020, 1, 6) + dt.timedelta(days=day) for day in range(SESSIONS) for _ in range(NAMES)],
        "symbol": [f"S{name:02d}" for name in range(NAMES)] * SESSIONS,
        "expected": BY,
        "outcome": OUTCOME,
    }
)
SPREAD = [  # mean_return_by_quantile(by_date=True, demeaned=False), quantile 5 less quantile 1
    *(0.00081724, 0.01398902, 0.00926527, 0.01725598, 0.00972318, 0.00302169),
    *(0.01961882, -0.00487182, 0.01151542, -0.00106175, 0.0225598, 0.00293688),
]
MEANS = [-0.00269643, -0.00026948, 0.00108315, 0.00070468, 0.00603438]  # mean_return_by_quantile(by_date=False)
TURNOVER = {  # quantile_turnover(period=1)
    1: [0.5, 0.5, 0.75, 0.75, 1.0, 0.5, 1.0, 1.0, 0.5, 1.0, 0.75],
    5: [0.75, 0.75, 0.75, 0.75, 0.5, 0.25, 0.25, 0.75, 1.0, 1.0, 1.0],
}


def test_means_and_spread_of_quantiles_are_those_of_alphalens():
    ranked = quantiles.ranked(TABLE, by="expected", parts=5)
    np.testing.assert_allclose(quantiles.by_quantile(ranked)["mean"], MEANS, atol=5e-9)
    np.testing.assert_allclose(quantiles.spread(ranked, parts=5)["value"], SPREAD, atol=5e-9)


def test_turnover_of_quantiles_is_that_of_alphalens():
    ranked = quantiles.ranked(TABLE, by="expected", parts=5)
    for place, shares in TURNOVER.items():
        found = quantiles.turnover(ranked, quantile=place)["value"].to_list()
        assert found[0] is None
        np.testing.assert_allclose(found[1:], shares, atol=1e-12)


def test_sessions_too_small_for_the_quantiles_and_rows_without_a_value_are_left_out():
    holes = TABLE.with_columns(pl.when(pl.col("symbol") < "S17").then("expected"))
    assert quantiles.ranked(holes, by="expected", parts=5)["symbol"].min() is not None
    few = TABLE.filter(pl.col("symbol") < "S04")
    assert quantiles.ranked(few, by="expected", parts=5).is_empty()
