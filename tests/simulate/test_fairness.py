"""On markets in which nothing predicts, the outcome before costs is 0: overall, and in fifths of every feature.

Estimand: the mean outcome before costs, of all events and of those in a fifth of a feature's values. Truth: 0 (the
forecast's, beyond the session's mean). Independent observations: markets, 60 of 10 to 60 names and nine to twelve
years; in the suite 16 of few names and years. Their seeds are fixed; a fifth's edges are those of all markets together.
The largest of all t values of a family is held against the 99.9% point of the largest of as many independent ones, so
that one family in a thousand is wrongly accused.
"""

import os
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student

from bq import market, strategies
from bq.core import params, paths

FULL = bool(os.environ.get("BQ_FULL"))
MARKETS, FIRST_SEED = 60 if FULL else 16, 1000
FIFTHS = 5


class Case(NamedTuple):
    strategy: str
    family: str
    outcome: str  # before costs
    full: str  # parameters
    small: str  # besides


ONE_ORDER = "learning.features=butterfly_v3 analysis.arima_orders=[[1,1,1]] "
WITHOUT_COSTS = "costs.fee_bps=0 costs.slippage_bps=0 "
FEW = "market.simulation.symbols=4 market.simulation.sessions=700 "
MORE = "market.simulation.symbols=12 market.simulation.sessions=600 events.min_names=3"
CASES = [
    Case("butterfly", "martingale", "roi_0%", ONE_ORDER, FEW + "analysis.history_sessions=120"),
    Case("breakout", "martingale", "outcome", WITHOUT_COSTS, FEW),
    Case("breakout", "", "outcome", WITHOUT_COSTS + "market.simulation.edge=0", FEW),
    Case("breakout", "clustered", "outcome", WITHOUT_COSTS, FEW),
    Case("forecast", "martingale", "outcome", "learning.regimes=null events.every_sessions=5", MORE),
    Case("forecast", "clustered", "outcome", "learning.regimes=null events.every_sessions=5", MORE),
]


def events(case):
    """Events of all markets: the column `market`, `y`, and the features with the score."""
    strategy = strategies.get(case.strategy)
    file = paths.CHECKOUT / "parameters" / "simulated" / f"{'_'.join(filter(None, case[:2]))}.yaml"
    parts = []
    for seed in range(FIRST_SEED, FIRST_SEED + MARKETS):
        overrides = f"{case.full} {'' if FULL else case.small} market.simulation.seed={seed}"
        settings = params.load(file, strategy.settings, overrides=overrides)
        data = market.load(settings.market)
        made = strategy.table.build(data, settings, strategy.table.schedule(data, settings)).events
        columns = [*strategy.features(settings).columns, "score"]
        known = made.filter(pl.col("t1_due") <= pl.col("t1").max())  # of the last ones only what closed early is known
        found = known.select("session", *columns, y=pl.col(case.outcome).fill_nan(None)).drop_nulls("y")
        if strategy.name == "forecast":
            found = found.with_columns(pl.col("y") - pl.col("y").mean().over("session"))
        parts.append(found.with_columns(market=pl.lit(seed)))
    return pl.concat(parts), columns


def t_value(rows):
    """The mean of `y` over its standard error from the spread between markets (a ratio of sums, linearised)."""
    sums = rows.group_by("market").agg(pl.col("y").sum().alias("sum"), pl.len().alias("n"))
    total, n = sums["sum"].to_numpy(), sums["n"].to_numpy()
    mean = total.sum() / n.sum()
    return mean * n.sum() / np.sqrt(((total - mean * n) ** 2).sum())


def cells(table, columns):
    """Each fifth of each feature, as (name, number, t value); equal values stay together."""
    for name in columns:
        known = table.filter(pl.col(name).is_not_nan() & pl.col(name).is_not_null())
        place = pl.col(name).rank("average") * FIFTHS / (pl.len() + 1)
        for (number,), rows in known.with_columns(fifth=place.cast(pl.Int64)).group_by("fifth"):
            yield name, number, t_value(rows)


@pytest.mark.calibration
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.strategy}-{case.family or 'planted with 0'}")
def test_outcomes_before_costs_are_0_overall_and_in_fifths_of_every_feature(case):
    table, columns = events(case)
    assert len(table) > 20 * MARKETS
    found = [("all", 0, t_value(table)), *cells(table, columns)]
    largest = student.ppf(1.0 - 0.001 / (2 * len(found)), MARKETS - 1)
    assert [cell for cell in found if abs(cell[2]) > largest] == []
    assert len(found) > 10 * FIFTHS


NET = [
    Case("butterfly", "clustered", "outcome", ONE_ORDER, FEW + "analysis.history_sessions=120"),
    Case("butterfly", "expensive", "outcome", ONE_ORDER, FEW + "analysis.history_sessions=120"),
]


@pytest.mark.calibration
@pytest.mark.parametrize("case", NET, ids=lambda case: f"{case.strategy}-{case.family}")
def test_what_one_volatility_gets_wrong_of_tails_does_not_cover_the_way_in_and_out(case):
    """The same cells of net outcomes: overall below 0, and no fifth of any feature significantly above."""
    table, columns = events(case)
    found = list(cells(table, columns))
    largest = student.ppf(1.0 - 0.001 / len(found), MARKETS - 1)
    assert t_value(table) < (-3 if FULL else 0)
    assert [cell for cell in found if cell[2] > largest] == []
    if FULL:
        assert all(table.group_by(pl.col("wing_sigmas").qcut(FIFTHS)).agg(pl.col("y").mean())["y"] < 0)
