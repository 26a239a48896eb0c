"""Breakouts in a rising market: one event is a signal, taken or not, and its outcome the R of the trade after costs."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.strategies.breakout.build import NAME, build, schedule
from bq.strategies.breakout.evidence import evaluation, exhibits
from bq.strategies.breakout.features import BREAKOUT_V1
from bq.strategies.breakout.quality import priority
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.breakout.value import value, value_name
from bq.strategies.contract import Strategy
from bq.strategies.task import Task


def task(settings: BreakoutSettings) -> Task:
    """Whether a trade earns anything, net of costs: P(Win) is P(R > 0)."""
    return Task(("Loss", "Win"), (1e-12,))


def cells(events: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Fast or slow breakout, and the distance of the stop: where class means are kept apart."""
    kind = events["kind"].replace_strict({"fast": 0, "slow": 1}, return_dtype=pl.Int64)
    return kind.to_numpy(), events["stop_share"].cast(pl.Float32).to_numpy()


STRATEGY = Strategy(
    name=NAME,
    settings=BreakoutSettings,
    feature_sets={BREAKOUT_V1.name: BREAKOUT_V1},
    schedule=schedule,
    build=build,
    task=task,
    cells=cells,
    baseline=lambda settings: 0.0,  # the rules trade every signal that fits
    value=value,
    value_name=value_name,
    cross_sectional=True,
    detail=(
        *("kind", "decision", "entry_session", "exit_session", "exit_reason"),
        *("entry_price", "exit_price", "quantity", "stop_share"),
    ),
    kind="kind",
    exhibits=exhibits,
    priority=priority,
    evaluation=evaluation,
    quick="learning.folds=3 gate.draws=2000",
)
