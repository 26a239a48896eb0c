"""What a rising market alone gives a breakout: being long its benchmark, at the same risk and for the same time.

R is a return over the distance of the stop, so that where everything rises what moves little earns the most R. That is
exposure and no choice among signals; the gate takes it out of results.
"""

from typing import TYPE_CHECKING

import polars as pl

from bq.market.bars import continuous
from bq.strategies.breakout.settings import BreakoutSettings

if TYPE_CHECKING:
    from bq.market import MarketData


def hedge(predictions: pl.DataFrame, settings: BreakoutSettings, market: "MarketData") -> pl.Series:
    """R of the benchmark instead of each signal: its return from the close of t0 to that of t1 over the stop's share.

    predictions : with session, t1 (UTC) and stop_share. The benchmark is `universe.benchmark`; null: the mean return of
    all symbols that are traded.
    """
    level = _level(market.bars, settings)
    at = predictions.select("session", last=pl.col("t1").dt.date()).with_row_index("row")
    start = at.sort("session").join_asof(level, on="session").select("row", before="level")
    end = at.sort("last").join_asof(level, left_on="last", right_on="session").select("row", after="level")
    moved = start.join(end, on="row").sort("row").select(pl.col("after") / pl.col("before") - 1.0).to_series()
    return (moved.fill_null(0.0) / predictions["stop_share"]).alias("hedge")


def _level(bars: pl.DataFrame, settings: BreakoutSettings) -> pl.DataFrame:
    """Session and level of the benchmark."""
    universe, price = settings.universe, bars.select("symbol", "session", level=continuous()).sort("symbol", "session")
    if universe.benchmark is not None:
        return price.filter(pl.col("symbol") == universe.benchmark).drop_nulls().select("session", "level")
    traded = price.filter(~pl.col("symbol").is_in(universe.index_symbols)).drop_nulls()
    moves = traded.with_columns(move=(pl.col("level") / pl.col("level").shift(1)).over("symbol"))
    mean = moves.group_by("session").agg(pl.col("move").mean()).sort("session")
    return mean.select("session", level=pl.col("move").fill_null(1.0).cum_prod())
