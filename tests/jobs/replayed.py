"""Replays of small planted markets, and every row that they leave.

As a program: `python replayed.py STRATEGY FILE FIRST LAST TARGET` replays bars from a file in a process of its own.
"""

import datetime as dt
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bq import market as markets
from bq import strategies
from bq.core import db, params, paths, world
from bq.core.settings import Settings
from bq.jobs import attempt, replaying
from bq.market import MarketData
from bq.monitoring import checks, outcomes
from bq.monitoring.checks import Check
from bq.strategies.contract import Strategy

SMALL = {  # overrides of the strategy's planted market, and from which session it is replayed
    "breakout": (
        "market.simulation.symbols=8 market.simulation.sessions=1000 exit.max_holding_days=10 learning.folds=2 "
        "learning.newest_days=150 gate.draws=1000 ml.enabled=true",
        750,
    ),
    "butterfly": (
        "market.simulation.symbols=4 market.simulation.sessions=1000 events.first=2010-01-04 learning.folds=2 "
        "learning.newest_days=150 learning.test_days=120 gate.draws=1000",
        870,
    ),
    "forecast": (
        "market.simulation.symbols=8 market.simulation.sessions=900 events.every_sessions=5 learning.folds=2 "
        "learning.newest_days=100 learning.test_days=100 gate.draws=1000 learning.regimes=null",
        700,
    ),
}
ROWS = (  # what a replay leaves in its world's database, in the order in which it came
    "select * from scans order by scan_id",
    "select * from decisions order by scan_id, rank, event_id",
    "select * from outcomes order by recorded_utc, event_id, revision",
    "select * from intents order by intent_id",
    "select * from order_events order by id",
    "select * from executions order by rowid",
    "select * from marks order by rowid",
)


class Planted(NamedTuple):
    """A strategy on a small market of its own."""

    strategy: Strategy
    settings: Settings
    market: MarketData
    days: list[dt.date]  # that are replayed


class Left(NamedTuple):
    """What a replay leaves: rows as text, and each attempt with its candidate and what was deployed."""

    scans: list[str]
    decisions: list[str]
    outcomes: list[str]
    intents: list[str]
    order_events: list[str]
    executions: list[str]
    marks: list[str]
    checks: list[str]  # as they were entered: a later one of the same day takes the place of an earlier
    attempts: list[str]


def planted(name: str) -> Planted:
    """The small market of a strategy."""
    overrides, first = SMALL[name]
    strategy = strategies.get(name)
    file = paths.CHECKOUT / "parameters" / "simulated" / f"{name}.yaml"
    settings = params.load(file, strategy.settings, overrides=overrides)
    market = markets.load(settings.market)
    return Planted(strategies.of(settings), settings, market, market.bars["session"].unique().sort().to_list()[first:])


def cut(market: MarketData, last: dt.date) -> MarketData:
    """A market whose data end with a session, with another hash than the whole one."""
    return of_bars(market, market.bars.filter(pl.col("session") <= last))


def of_bars(market: MarketData, bars: pl.DataFrame) -> MarketData:
    """A market of other bars."""
    return replace(market, bars=bars, data_hash=f"{len(bars)} bars")


def left(small: Planted, market: MarketData, first: dt.date, last: dt.date) -> Left:
    """Replay in a new world in which every candidate is deployed, whatever the gate says of it."""
    with pytest.MonkeyPatch.context() as patch, world.own():
        judge = attempt.judge

        def deployed(asked: attempt.Attempt) -> attempt.Answer:
            found = judge(asked)
            return found._replace(ours=found.ours._replace(deploy=True))

        patch.setattr(attempt, "judge", deployed)
        checked: list[str] = []
        enter = checks.enter

        def entered(made: Sequence[Check]) -> list[int]:
            checked.extend(check.model_dump_json() for check in made)
            return enter(made)

        patch.setattr(checks, "enter", entered)
        kept: list[replaying.Walk] = []
        begin = replaying.Walk.__init__

        def begun(self: replaying.Walk, *given: Any) -> None:
            begin(self, *given)
            kept.append(self)

        patch.setattr(replaying.Walk, "__init__", begun)
        made = replaying.replay(small.strategy, small.settings, market, first, last)
        assert_frame_equal(kept[0].counted(), outcomes.counted(small.settings.namespace))  # read in parts, and at once
        with db.engine().connect() as connection:
            tables = [[_text(row) for row in connection.exec_driver_sql(query)] for query in ROWS]
    trained = [
        _text((one.session, one.candidate.model_id, one.deployed, one.headline, [w.plain() for w in one.why]))
        for one in made.trained
    ]
    return Left(*tables, checked, trained)


def _text(row: Any) -> str:
    return json.dumps(list(row), default=str)


def main(name: str, file: str, first: str, last: str, target: str) -> None:
    """Replay the bars of a file; write what is left."""
    small = planted(name)
    market = of_bars(small.market, pl.read_parquet(file))
    found = left(small, market, dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    Path(target).write_text(json.dumps(found._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
