"""What choosing among signals earns: the top-ranked half of them, by percentiles of the last year."""

import numpy as np
import polars as pl

from bq.strategies.breakout.backtest import percentiles
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.value import mean_of_all

YEAR_DAYS = 365
LEAST = 10  # signals that a percentile needs


def value(predictions: pl.DataFrame, by: str | None, settings: BreakoutSettings) -> pl.DataFrame:
    """Mean net R of a trade when the half of the signals that is better by column `by` is taken: session, value.

    A signal is taken when its percentile among those of the year up to and including its session is above one half, so
    that no later signal says what is good. A session's value is the mean over its signals of R where taken and 0 where
    not, over the share of signals taken on average: the mean over sessions is then the mean R of a trade, whatever the
    number of trades, and columns compare at equal trade count. Null until there are ten signals.
    """
    if by is None:
        return mean_of_all(predictions)
    rows = predictions.sort("session", "event_id")
    day = rows["session"].to_physical().to_numpy().astype(np.int64)
    percentile = percentiles(rows[by].cast(pl.Float64).fill_null(np.nan).to_numpy(), day, peers=None, trail=YEAR_DAYS)
    before = np.arange(1, len(day) + 1) - np.searchsorted(day, day - YEAR_DAYS, "right")
    judged = rows.with_columns(
        taken=pl.Series((percentile > 0.5).astype(np.float64)), enough=pl.Series(before >= LEAST)
    ).with_columns(earned=pl.col("taken") * pl.col("outcome"))
    sessions = judged.group_by("session").agg(pl.col("taken", "earned").mean(), pl.col("enough").all()).sort("session")
    share = sessions.filter("enough")["taken"].mean() or np.nan
    return sessions.select("session", value=pl.when("enough").then(pl.col("earned") / share).fill_nan(None))


def value_name(settings: BreakoutSettings) -> str:
    """What `value` is, for people."""
    return "net R of the top-ranked half"
