"""Splits told apart from dividends: an adjustment factor holds both, volume follows the one alone."""

import datetime as dt

import polars as pl

ROUNDING = 0.01  # relative: how far below a split's ratio a step of `adj` may fall, for factors of rounded prices
DIVIDEND = 0.05  # … and how far above it, for a dividend on the day of the split


def factors(bars: pl.DataFrame) -> dict[tuple[str, dt.date], float]:
    """New shares for an old one by symbol and session, where there are any. bars : the bar contract, in any order."""
    found = bars.sort("symbol", "session").with_columns(new_shares().alias("new")).filter(pl.col("new") != 1.0)
    return {(symbol, session): new for symbol, session, new in found.select("symbol", "session", "new").rows()}


def new_shares() -> pl.Expr:
    """New shares for an old one at each bar: 10 where ten-for-one was split since the bar before, else 1.

    Of bars (the bar contract, sorted by symbol and session). A step of `adj`, its ratio to that of the bar before, is
    a split where both hold:

    - it is 1.5, 2, 2.5 or a whole number from 3 on, or one over these, at most ROUNDING below or DIVIDEND above;
    - the close itself moved by more like the split than like none: its log change is nearer to minus that of the ratio
      than to 0.

    Any other step is a dividend, or a spin-off, which changes no number of shares. A dividend raises `adj` by
    1 / (1 - dividend / price) and never lowers it, so that what is paid of the price reaches 1.5 only at a third of it:
    splits of less (5 for 4, stock dividends) cannot be told from special dividends and are taken for such.
    """
    ratio, step = ((pl.col(name) / pl.col(name).shift()).over("symbol") for name in ("close", "adj"))
    most = step * (1.0 + ROUNDING)  # a dividend only adds to a split: its ratio is the greatest that is not above
    forward = pl.when(most < 3.0).then((2.0 * most).floor() / 2.0).otherwise(most.floor())
    least = 1.0 / most
    backward = 1.0 / pl.when(least < 3.0).then((2.0 * least).ceil() / 2.0).otherwise(least.ceil())
    split = pl.when(step >= 1.0).then(forward).otherwise(backward)
    holds = (step <= split * (1.0 + DIVIDEND)) & ((ratio * split).log().abs() < ratio.log().abs())
    return pl.when(holds & (split != 1.0)).then(split).otherwise(1.0)
