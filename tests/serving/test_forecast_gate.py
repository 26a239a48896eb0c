"""The forecast's gate on streams of predictions whose skill is known: nothing deploys without any, a lot does."""

import datetime as dt
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "strategies"))  # bars are made in the same way

from event_samples import market_of
from forecast_samples import bars_that_pay

from bq import strategies
from bq.core import params, paths
from bq.market.calendars import sessions
from bq.serving import gates
from bq.serving.onnx import Parity
from bq.strategies.component import Kind
from bq.strategies.events import UTC

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
MARKETS = 60 if FULL else 4
FIRST = dt.datetime(2015, 1, 7, 21, tzinfo=dt.UTC)  # a Wednesday: none of the next years is a holiday
FORECAST = strategies.get("forecast")


@pytest.fixture(scope="module")
def settings():
    wanted = "events.every_sessions=10 portfolio.kind=long_short production.rolling_sessions=60 gate.draws=2000"
    return params.load(paths.parameters("forecast"), FORECAST.settings, overrides=wanted)


def stream(*, skill: float, sessions: int, seed: int, names: int = 20) -> pl.DataFrame:
    """Predictions of one model, a rebalance every fortnight; `skill` is their correlation with what came."""
    rng = np.random.default_rng(seed)
    shape = (sessions, names)
    said, noise, market = rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal((sessions, 1))
    outcome = 0.03 * market + 0.06 * (skill * said + np.sqrt(1 - skill**2) * noise)
    t0 = pl.Series([FIRST + dt.timedelta(days=14 * (i // names)) for i in range(sessions * names)], dtype=UTC)
    frame = pl.DataFrame(
        {
            "event_id": [f"{seed}-{i}" for i in range(sessions * names)],
            "symbol": [f"N{i:02d}" for i in range(names)] * sessions,
            "session": t0.dt.date(),
            "t0": t0,
            "t1": t0 + dt.timedelta(days=13),
            "t1_due": t0 + dt.timedelta(days=13),
            "score": rng.standard_normal(shape).ravel(),
            "outcome": outcome.ravel(),
            "expected": said.ravel(),
            "volatility_60": np.float32(0.3),
            "market_beta_60": np.float32(1.0),
            "sector": None,
            "model": "stack",
        }
    )
    return frame.with_columns(label=FORECAST.task(None).label(pl.col("outcome")))


def judged(skill: float, seed: int, settings) -> gates.Verdict:
    oos = stream(skill=skill, sessions=45, seed=seed)
    newest, trials = stream(skill=skill, sessions=13, seed=1000 + seed), oos.select("session").unique().sort("session")
    whole = Parity(rows=1000, largest_difference=0.0, flips=0)
    found = gates.Evidence(oos, newest, whole, "ours", trials)
    calendar = sessions("XNYS").filter(pl.col("session") >= FIRST.date()).head(500)
    market = market_of(bars_that_pay(oos, calendar, seed=seed))
    return gates.decide(found, None, strategy=FORECAST, settings=settings, market=market)


@pytest.mark.calibration
def test_without_skill_nothing_deploys(settings):
    assert [seed for seed in range(MARKETS) if judged(0.0, seed, settings).deploy] == []


def test_with_much_skill_it_deploys(settings):
    verdict = judged(0.4, 0, settings)
    assert verdict.deploy, verdict.components


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("long_only", {Kind.INFORMATION_RATIO, Kind.OVER_ALL}), ("long_short", set())],
    ids=["long-only", "long-short"],
)
def test_the_benchmark_belongs_to_the_kind_of_portfolio(settings, kind, asked):
    """Equal weight of a long-only one; cash of a long-short one, whose Sharpe ratio and net result are against it."""
    portfolio = settings.portfolio.model_copy(update={"kind": kind})
    verdict = judged(0.4, 0, settings.model_copy(update={"portfolio": portfolio}))
    against_equal_weight = {Kind.INFORMATION_RATIO, Kind.OVER_ALL}
    assert {component.kind for component in verdict.components} & against_equal_weight == asked
    assert {Kind.SHARPE, Kind.NET, Kind.ALPHA} <= {component.kind for component in verdict.components}
    if kind == "long_short":
        limits = settings.production
        assert verdict.part(Kind.SHARPE).threshold == max(limits.min_sharpe, limits.min_information_ratio)
