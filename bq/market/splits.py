"""Splits told apart from dividends: an adjustment factor holds both, volume follows the one alone."""

import datetime as dt

import numpy as np
import polars as pl
from numpy.typing import NDArray

Rows = NDArray[np.uint32]
Shares = NDArray[np.float64]

ROUNDING = 0.01  # relative: how far below a split's ratio a step of `adj` may fall, for factors of rounded prices
DIVIDEND = 0.05  # … and how far above it, for a dividend on the day of the split


def factors(bars: pl.DataFrame) -> dict[tuple[str, dt.date], float]:
    """New shares for an old one by symbol and session, where there are any. bars : the bar contract, in any order."""
    bars = bars.sort("symbol", "session")
    row, new = found(bars)
    keys = bars.select("symbol", "session")[row]
    return {(symbol, session): shares for (symbol, session), shares in zip(keys.rows(), new.tolist(), strict=True)}


def found(bars: pl.DataFrame) -> tuple[Rows, Shares]:
    """Rows of the bars with a split, and new shares for an old one there: 10 where ten-for-one since the bar before.

    bars : the bar contract, sorted by symbol and session. A step of `adj`, its ratio to that of the bar before, is a
    split where both hold:

    - it is 1.5, 2, 2.5 or a whole number from 3 on, or one over these, at most ROUNDING below or DIVIDEND above;
    - the close itself moved by more like the split than like none: its log change is nearer to minus that of the ratio
      than to 0.

    Any other step is a dividend, or a spin-off, which changes no number of shares. A dividend raises `adj` by
    1 / (1 - dividend / price) and never lowers it, so that what is paid of the price reaches 1.5 only at a third of it:
    splits of less (5 for 4, stock dividends) cannot be told from special dividends and are taken for such.
    """
    stepped = (pl.col("adj") != pl.col("adj").shift()) & (pl.col("symbol") == pl.col("symbol").shift())
    row = bars.select(stepped.fill_null(False)).to_series().arg_true().to_numpy()  # few: all else is for them alone
    both = bars.select(pl.col("close", "adj").cast(pl.Float64))
    now, before = (both[at].to_numpy() for at in (row, row - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, step = (now / before).T
        most = step * (1.0 + ROUNDING)  # a dividend only adds to a split: its ratio is the greatest that is not above
        forward = np.where(most < 3.0, np.floor(2.0 * most) / 2.0, np.floor(most))
        least = 1.0 / most
        backward = 1.0 / np.where(least < 3.0, np.ceil(2.0 * least) / 2.0, np.ceil(least))
        split = np.where(step >= 1.0, forward, backward)
        holds = (step <= split * (1.0 + DIVIDEND)) & (np.abs(np.log(ratio * split)) < np.abs(np.log(ratio)))
    holds &= split != 1.0
    return row[holds], split[holds]
