"""A strategy whose score is weighed, and its events of a market whose law is known."""

import datetime as dt

import numpy as np
import polars as pl
from toy_strategy import ToySettings, _unused, toy_settings

from bq.simulate.weighed import COMPONENTS, Weighed
from bq.strategies import policy as policies
from bq.strategies.contract import Strategy, Table, Value
from bq.strategies.events import UTC, FeatureSet
from bq.strategies.task import Task
from bq.strategies.weighing import Parts, Weighing

NAMES = tuple(f"part_{i}" for i in range(COMPONENTS))
GIVEN = (0.35, 0.30, 0.20, 0.15)
FIRST = dt.datetime(2000, 1, 7, 21, tzinfo=dt.UTC)
HOLDING = dt.timedelta(days=14)


def parts(events: pl.DataFrame, settings: ToySettings) -> Parts:
    return Parts(events.select(NAMES).to_numpy(), np.zeros(len(events)))


WEIGHED = Strategy(
    name="toy",
    settings=ToySettings,
    table=Table(_unused, (FeatureSet("toy_v1", NAMES),)),
    task=lambda settings: Task(outcome="return"),
    value=Value(name=lambda settings: policies.name(settings.policy, "net return")),
    weighing=Weighing(NAMES, lambda settings: GIVEN, parts, market=("mark",)),
)


def weighed_settings(**changes):
    """Two test blocks of four years; the best five of a session are traded."""
    learning = {"folds": 2, "test_days": 1460, "newest_days": 180} | changes
    return toy_settings(learning=learning, gate={"draws": 2000})


def weighed_events(made: Weighed) -> pl.DataFrame:
    """Weekly sessions; outcomes are known two weeks later."""
    sessions, each, _ = made.components.shape
    n = sessions * each
    week, symbol = np.repeat(np.arange(sessions), each), np.tile(np.arange(each), sessions)
    t0 = pl.Series([FIRST + dt.timedelta(weeks=int(w)) for w in week], dtype=UTC)
    flat = made.components.reshape(n, -1)
    return pl.DataFrame(
        {
            "event_id": [f"e{w:05d}{s:02d}" for w, s in zip(week, symbol, strict=True)],
            "strategy": "toy",
            "symbol": [f"S{s:02d}" for s in symbol],
            "variant": "v1",
            "session": t0.dt.date(),
            "t0": t0,
            "t1": t0 + HOLDING,
            "t1_due": t0 + HOLDING,
            "taken": True,
            "source": "simulated",
            "weight": np.ones(n, np.float32),
            "score": flat @ np.array(GIVEN),
            **{name: flat[:, i] for i, name in enumerate(NAMES)},
            "mark": np.repeat(made.mark, each),
            "outcome": made.outcome.ravel(),
            "label": made.outcome.ravel(),
        }
    )
