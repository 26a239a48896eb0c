"""A toy strategy and its events: one feature carries the outcome, the others are noise."""

import datetime as dt

import numpy as np
import polars as pl

from bq.core.settings import Gate, Learning, Market, Policy, Settings
from bq.learning.model import Sample
from bq.strategies import policy as policies
from bq.strategies.contract import Strategy, Table, Value
from bq.strategies.events import UTC, FeatureSet
from bq.strategies.task import Task

FEATURES = FeatureSet("toy_v1", ("signal", "noise", "gappy"))
TASK = Task(("Loss", "Small", "Good"), (-0.05, 0.15), outcome="ROI", trade_score=60.0)
SUCCESS = Task(("Failure", "Success"), (1e-12,))
HOLDING_DAYS = 14
FIRST = dt.datetime(2015, 1, 2, 21, tzinfo=dt.UTC)


class ToySettings(Settings):
    """Labels end fourteen days after the decision at the latest."""

    @property
    def max_holding_days(self) -> int:
        return HOLDING_DAYS


def toy_settings(*, learning: dict | None = None, gate: dict | None = None, policy: dict | None = None) -> ToySettings:
    """Small and quick; sections are changed by keyword."""
    defaults = {"features": "toy_v1", "model": "elastic_net", "folds": 2, "test_days": 90, "newest_days": 60}
    return ToySettings(
        strategy="toy",
        market=Market(),
        learning=Learning(**{**defaults, **(learning or {})}),
        policy=Policy(**{"k": 5, **(policy or {})}),
        gate=Gate(**{"draws": 1000, "min_oos_days": 90, "min_events": 50, **(gate or {})}),
    )


def _unused(*_: object) -> None:
    raise AssertionError("learning and serving must not build events")


TOY = Strategy(
    name="toy",
    settings=ToySettings,
    table=Table(
        _unused,
        (FEATURES,),
        cells=lambda events: (np.array(events["kind"], np.int64), np.array(events["width"], np.float32)),
        cells_from=("kind", "width"),
    ),
    task=lambda settings: TASK,
    success=SUCCESS,
    value=Value(name=lambda settings: policies.name(settings.policy, "net ROI")),
)


def toy_events(*, sessions: int = 60, symbols: int = 6, strength: float = 0.2, seed: int = 0) -> pl.DataFrame:
    """Weekly events of the contract, sorted by (t0, symbol); what closes after the newest session is still open."""
    rng = np.random.default_rng(seed)
    n = sessions * symbols
    week, symbol = np.repeat(np.arange(sessions), symbols), np.tile(np.arange(symbols), sessions)
    t0 = [FIRST + dt.timedelta(weeks=int(w)) for w in week]
    due = [t + dt.timedelta(days=HOLDING_DAYS) for t in t0]
    closed = [
        t + dt.timedelta(days=int(days)) for t, days in zip(t0, rng.integers(5, HOLDING_DAYS + 1, n), strict=True)
    ]
    signal = rng.standard_normal(n)
    outcome = strength * signal + 0.2 * rng.standard_normal(n)
    is_open = np.array([t > t0[-1] for t in closed])
    frame = pl.DataFrame(
        {
            "event_id": [f"e{w:04d}{s:02d}" for w, s in zip(week, symbol, strict=True)],
            "strategy": "toy",
            "symbol": [f"S{s:02d}" for s in symbol],
            "variant": "v1",
            "session": [t.date() for t in t0],
            "t0": pl.Series(t0, dtype=UTC),
            "t1": pl.Series([None if o else t for o, t in zip(is_open, closed, strict=True)], dtype=UTC),
            "t1_due": pl.Series(due, dtype=UTC),
            "taken": True,
            "source": "real",
            "weight": rng.uniform(0.3, 1.0, n).astype(np.float32),
            "score": 55.0 + 10.0 * rng.standard_normal(n),
            "signal": signal.astype(np.float32),
            "noise": rng.standard_normal(n).astype(np.float32),
            "gappy": np.where(rng.random(n) < 0.2, np.nan, rng.standard_normal(n)).astype(np.float32),
            "outcome": pl.Series([None if o else float(v) for o, v in zip(is_open, outcome, strict=True)]),
            "kind": rng.integers(0, 2, n),
            "width": rng.uniform(0.5, 2.0, n).astype(np.float32),
        }
    )
    return frame.with_columns(label=TASK.label(pl.col("outcome")))


def toy_sample(n: int = 400, *, features: int = 4, categories: int = 2, seed: int = 0) -> Sample:
    """Arrays to fit a model on, in time order; feature 0 carries the outcome, a tenth of the values is missing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)).astype(np.float32)
    outcome = 0.2 * x[:, 0] + 0.2 * rng.standard_normal(n)
    x[rng.random(x.shape) < 0.1] = np.nan
    label = np.digitize(outcome, TASK.edges).astype(np.int64)
    weight = rng.uniform(0.3, 1.0, n).astype(np.float32)
    category, size = rng.integers(0, categories, n), rng.uniform(0.5, 2.0, n).astype(np.float32)
    return Sample(x, label, outcome, weight, category, size, toy_times(n))


def toy_times(n: int, *, every: int = 4) -> pl.DataFrame:
    """Sessions and label intervals of `n` events, `every` of them a week, labels a week long."""
    t0 = pl.Series([FIRST + dt.timedelta(weeks=i // every) for i in range(n)], dtype=UTC)
    return pl.DataFrame({"session": t0.dt.date(), "t0": t0, "t1_due": t0 + dt.timedelta(days=7)})


def toy_learning(**changes: object) -> Learning:
    """Sections of learning for a sample without a strategy."""
    return Learning(**{"features": "toy", "model": "elastic_net", "seed": 3, **changes})
