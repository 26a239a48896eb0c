"""A fingerprint of every bar, so that it can be said later which of them were revised."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.market.bars import SCHEMA

KEY = ("symbol", "session")
MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd constant: 2^64 by the golden ratio
FOLD = np.uint64(32)


def of_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """One row a bar: symbol, session, print (u32).

    bars : the bar contract. A bar of which any value changed has another print but for one in 4 billion.
    """
    hashed = np.zeros(len(bars), np.uint64)
    for name in SCHEMA.names():
        if name not in KEY:
            hashed = (hashed ^ _bits(bars[name])) * MIX
            hashed ^= hashed >> FOLD
    return bars.select(*KEY, print=pl.Series((hashed >> FOLD).astype(np.uint32)))


def revised(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Bars that differ, both as from `of_bars`: symbol, session and how (revised, gone, new), sorted."""
    both = before.join(now, on=KEY, how="full", coalesce=True, suffix="_now")
    how = (
        pl.when(pl.col("print").is_null())
        .then(pl.lit("new"))
        .when(pl.col("print_now").is_null())
        .then(pl.lit("gone"))
        .when(pl.col("print") != pl.col("print_now"))
        .then(pl.lit("revised"))
    )
    return both.select(*KEY, how=how).drop_nulls("how").sort(KEY)


def _bits(column: pl.Series) -> NDArray[np.uint64]:
    """The values as 64 bits each; all missing ones alike, and 0 like −0."""
    if column.dtype.is_float():
        values = column.fill_null(np.nan).cast(pl.Float64).to_numpy() + 0.0
        return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    return column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy().astype(np.uint64)
