"""What a series of results looks like over time: by month and year, its drawdowns, its rolling Sharpe ratio.

Results of sessions are either returns, which compound, or earned on a fixed capital, which add up: `compounded` says
which. A frame of results holds `session` (date, sorted, each once) and `value` (float; null where nothing was decided,
which earns 0). Definitions are those of quantstats 0.0.86, whose figures the tests hold for returns.
"""

import math

import numpy as np
import polars as pl

from bq.stats import drawdown

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def by_month(results: pl.DataFrame, *, compounded: bool) -> pl.DataFrame:
    """One row a year: year, Jan … Dec (null for a month without a session), whole (the year)."""
    months = _totals(results, "1mo", compounded).with_columns(
        year=pl.col("session").dt.year(), month=pl.col("session").dt.month()
    )
    named = months.with_columns(
        month=pl.col("month").replace_strict(dict(enumerate(MONTHS, 1)), return_dtype=pl.String)
    )
    wide = named.pivot("month", index="year", values="value")
    years = _totals(results, "1y", compounded).select(year=pl.col("session").dt.year(), whole="value")
    missing = [pl.lit(None, pl.Float64).alias(name) for name in MONTHS if name not in wide.columns]
    return wide.with_columns(missing).join(years, on="year").select("year", *MONTHS, "whole").sort("year")


def _totals(results: pl.DataFrame, every: str, compounded: bool) -> pl.DataFrame:
    value = pl.col("value").fill_null(0.0)
    total = (1.0 + value).product() - 1.0 if compounded else value.sum()
    return results.sort("session").group_by_dynamic("session", every=every).agg(value=total)


def underwater(results: pl.DataFrame, *, compounded: bool) -> pl.DataFrame:
    """Distance to the highest point so far, which starts at 0 (at 1 of wealth): session, value, 0 or less."""
    value = pl.col("value").fill_null(0.0)
    if not compounded:
        return results.select("session", value=drawdown.below_peak_of_sum(value.cum_sum()))
    level = (1.0 + value).cum_prod()
    return results.select("session", value=level / level.cum_max().clip(lower_bound=1.0) - 1.0)


def drawdowns(results: pl.DataFrame, *, compounded: bool, most: int = 5) -> pl.DataFrame:
    """The deepest falls below the highest point so far, deepest first.

    Returns from (first session below), lowest, until (last session below; null where it has not recovered), depth
    (0 or less, in the unit of the results), sessions (spent below).
    """
    below = underwater(results, compounded=compounded).with_columns(under=pl.col("value") < 0)
    spells = below.with_columns(spell=pl.col("under").rle_id()).filter("under")
    found = spells.group_by("spell").agg(
        pl.col("session").min().alias("from"),
        lowest=pl.col("session").get(pl.col("value").arg_min()),
        until=pl.col("session").max(),
        depth=pl.col("value").min(),
        sessions=pl.len(),
    )
    last = results["session"].max()
    recovered = pl.when(pl.col("until") < last).then("until")
    return found.with_columns(until=recovered).sort("depth", "from").head(most).drop("spell")


def rolling_sharpe(results: pl.DataFrame, *, window: int, periods_per_year: float) -> pl.DataFrame:
    """Mean over standard deviation (ddof 1) of the last `window` results × √periods a year: session, value.

    Null before the first whole window, and where the results of a window do not vary.
    """
    values = results["value"].fill_null(0.0).to_numpy()
    if len(values) < window:
        return results.select("session", value=pl.lit(None, pl.Float64))
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    spread = windows.std(axis=1, ddof=1)
    moves = spread > 1e-12 * np.maximum(np.abs(windows).max(axis=1), 1e-300)
    ratio = np.divide(windows.mean(axis=1), spread, out=np.full(len(spread), np.nan), where=moves)
    found = np.concatenate([np.full(window - 1, np.nan), ratio * math.sqrt(periods_per_year)])
    return results.select("session", value=pl.Series(found).fill_nan(None))
