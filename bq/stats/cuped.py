"""CUPED: a comparison of two randomly assigned groups, less what was known of them before."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.errors import BadData

Array = NDArray[np.float64]


class Adjusted(NamedTuple):
    """Outcomes without what the covariate explains."""

    values: Array  # shape (n_units,), with the mean of the outcomes
    slope: float  # outcome by covariate
    saved: float  # share of the variance within groups that is gone


def adjust(outcomes: ArrayLike, covariate: ArrayLike, first: ArrayLike) -> Adjusted:
    """Take out of the outcomes of two groups what a covariate explains that was known before units were assigned.

    outcomes, covariate : arrays of shape (n_units,), no NaN. first : whether a unit is in the first group. The
    covariate must have the same distribution in both groups, as what was known before a random assignment has; nothing
    that a group did, such as which units it chose to trade, may be in it. Slope and saving are those within groups, so
    that a difference between them is not taken for something explained.

    Deng, Xu, Kohavi & Walker 2013, doi:10.1145/2433396.2433413. Raises BadData unless each group has two units.
    """
    y, x, member = np.asarray(outcomes, np.float64), np.asarray(covariate, np.float64), np.asarray(first, bool)
    if min(member.sum(), (~member).sum()) < 2:
        raise BadData(f"both groups must have two units or more, but got {member.sum()} and {(~member).sum()}.")
    own_y, own_x = (_within(values, member) for values in (y, x))
    known, whole = float(own_x @ own_x), float(own_y @ own_y)
    if known == 0.0 or whole == 0.0:
        return Adjusted(y, 0.0, 0.0)
    slope = float(own_x @ own_y) / known
    return Adjusted(y - slope * (x - x.mean()), slope, slope * float(own_x @ own_y) / whole)


def _within(values: Array, first: NDArray[np.bool_]) -> Array:
    return values - np.where(first, values[first].mean(), values[~first].mean())
