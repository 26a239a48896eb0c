"""When a running sum has to be made anew.

A sum that values are added to and taken from keeps the rounding of the largest that it has ever been: after one absurd
value, finite or not, nothing of the present is left in it, for ever. So the largest is remembered, and where the sum
has become much smaller it is made anew from its window. Ordinary sums never are, so that nothing else is paid for it.
"""

import numpy as np
from numba import njit

LOST = 1e5  # times the present sum: five of sixteen digits are rounding
LARGEST = np.finfo(np.float64).max


@njit(cache=True, inline="always")
def largest(peak, total):
    """The largest absolute sum so far; NaN where one was."""
    size = abs(total)
    return peak if size <= peak else size


@njit(cache=True, inline="always")
def spoilt(peak, total):
    """Whether a sum that was as large as `peak` has to be made anew."""
    return abs(total) * LOST < peak or not peak <= LARGEST
