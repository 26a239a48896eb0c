"""Drawdown: how far a curve has fallen below its highest point so far. Two conventions, which are not mixed.

Of a running sum, where each value is earned on a fixed capital: in the values' unit, the highest point starting at 0.
Of wealth, which is compounded: as a share of the highest level so far.
"""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from bq.core.scalars import number_or_none
from bq.stats.blocks import Blocks


def below_peak_of_sum(total: pl.Expr) -> pl.Expr:
    """Distance of a running sum to its highest point so far, which starts at 0: 0 or less, in its unit; null stays."""
    return total - total.cum_max().clip(lower_bound=0.0)


def below_peak_of_wealth(level: pl.Expr) -> pl.Expr:
    """Distance of a level above 0 to the highest so far, as a share of that: 0 or less; null stays null."""
    return level / level.cum_max() - 1.0


def maximum_of_sum(values: pl.Series) -> float:
    """Maximum drawdown of the running sum of a series, in its unit, positive; a null adds nothing.

    >>> maximum_of_sum(pl.Series([-1.0, 3.0, None, -2.0]))
    2.0
    """
    fallen = values.fill_null(0.0).cum_sum().to_frame("total").select(below_peak_of_sum(pl.col("total"))).to_series()
    return 0.0 - (number_or_none(fallen.min()) or 0.0)  # no fall is 0, not -0


def share_no_larger(ours: ArrayLike, theirs: ArrayLike, blocks: Blocks) -> float:
    """Share of resampled histories in which our maximum drawdown, of the running sum, is no larger than theirs.

    ours, theirs : what two series earned in the same sessions, of shape (n_sessions,), one after the other; NaN is 0.
    Both are resampled together, in the blocks of the stationary bootstrap (Politis & Romano 1994,
    doi:10.1080/01621459.1994.10476870). A maximum drawdown is one path's, and moves a lot: of two series of one law the
    one's is more than half again as large as the other's in a quarter of histories.
    """
    from bq.kernels.bootstrap import stationary_drawdowns

    both = np.nan_to_num(np.column_stack([ours, theirs]).astype(np.float64))
    mine, other = stationary_drawdowns(both, blocks.block, blocks.draws, np.random.default_rng(blocks.seed)).T
    return float((mine <= other).mean())


def maximum_of_wealth(levels: ArrayLike) -> float:
    """Maximum drawdown of a series of levels above 0, as a share of the peak, positive; NaN where one is not known.

    >>> maximum_of_wealth([100.0, 120.0, 60.0, 140.0])
    0.5
    """
    level = pl.Series("level", np.asarray(levels, np.float64))
    if level.is_nan().any():
        return float("nan")
    return 0.0 - float(level.to_frame().select(below_peak_of_wealth(pl.col("level")).min()).item() or 0.0)


def compounded(returns: ArrayLike) -> NDArray[np.float64]:
    """What 1 becomes by simple returns of shape (n_periods,): shape (n_periods + 1,), the start first."""
    return np.cumprod(1.0 + np.concatenate([[0.0], np.asarray(returns, np.float64)]), dtype=np.float64)
