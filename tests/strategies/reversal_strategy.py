"""The smallest strategy that every part takes: after a fall of five sessions, hold from the next close to the sixth."""

from typing import Literal

import polars as pl

from bq.core.settings import Settings
from bq.strategies.contract import Strategy, Table
from bq.strategies.events import Built, FeatureSet, asked, completed
from bq.strategies.task import Task


class ReversalSettings(Settings):
    strategy: Literal["reversal"] = "reversal"

    @property
    def max_holding_days(self) -> int:
        return 20


def build(market, settings, wanted):
    close, session = pl.col("close"), pl.col("session")
    rows = market.bars.sort("symbol", "session").select(
        "symbol",
        "session",
        change=(close / close.shift(5) - 1).over("symbol"),
        outcome=(close.shift(-6) / close.shift(-1) - 1).over("symbol"),
        known=session.shift(-6).over("symbol"),
    )
    rows = rows.filter(pl.col("change").is_not_null()).with_columns(score=-pl.col("change"))
    return Built(completed(asked(rows, wanted), market, strategy="reversal", variant="v1", holding_sessions=10))


TABLE = Table(build, [FeatureSet("reversal_v1", ("change",))])
TASK = Task(("Loss", "Gain"), (0.0,), outcome="return")
STRATEGY = Strategy("reversal", ReversalSettings, TABLE, lambda settings: TASK)
