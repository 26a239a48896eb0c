"""Whether one of two books earns more, looked at as often as one likes: differences of their marks over blocks.

Outcomes of trades overlap for as long as they are held; the changes of a book's value from one block of sessions to the
next do not. One observation is the difference of what two books earned over a block, by the same marks.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.stats.sequential import LEAST, Sequence, confidence_sequence

SESSIONS = 5  # of a block of marks, as long as its observations look independent
DOUBLED = 3  # times at most
SHARPEST = 500  # sessions after which bounds are narrowest: 100 observations of five
BAND = 1.96  # standard errors of an autocorrelation of nothing, 1/√n
Array = NDArray[np.float64]


class Look(NamedTuple):
    """What is known of the mean difference at one look. Means are of one block."""

    sessions: int  # of a block
    values: Array  # of each block, shape (n_observations,), in time order
    autocorrelation: float  # of one block with the next; NaN where there are fewer than three
    band: float  # above it blocks are taken for dependent
    sequence: Sequence

    @property
    def enough(self) -> bool:
        """Whether there is a bound: enough observations that are not taken for dependent."""
        return len(self.values) >= LEAST and not self.autocorrelation > self.band

    @property
    def apart(self) -> int:
        """1: the mean is above 0, -1: below, 0: not told apart, or nothing to tell it by."""
        if not self.enough:
            return 0
        return int(self.sequence.low[-1] > 0.0) - int(self.sequence.high[-1] < 0.0)


def look(daily: ArrayLike, *, sessions: int = SESSIONS, alpha: float = 0.05) -> Look:
    """Look at the differences of two books' daily results, shape (n_sessions,), in time order, no NaN.

    Blocks of so many sessions from the first on; what is left at the end waits. Where one block's difference goes along
    with the next one's (lag-1 autocorrelation above 1.96/√n), blocks are doubled, three times at most, as long as
    twenty observations are left. Independent or alternating ones leave the bounds valid.

    sessions : of the first block tried. Results that are booked when a trade ends, not marked daily, need twice as many
    as trades are held: what trades share that are held at the same time else comes back in the next block.
    """
    values = np.asarray(daily, np.float64)
    found = _look(values, sessions, alpha)
    for doubled in _doubled(sessions)[1:]:
        wider = _look(values, doubled, alpha)
        if not found.autocorrelation > found.band or len(wider.values) < LEAST:
            break
        found = wider
    return found


def _doubled(sessions: int) -> list[int]:
    return [sessions * 2**n for n in range(DOUBLED + 1)]


def sharpest(sessions: int) -> int:
    """Observations of so many sessions after which the bounds are narrowest."""
    return max(SHARPEST // sessions, 1)


def _look(daily: Array, sessions: int, alpha: float) -> Look:
    values = blocks(daily, sessions)
    correlations = autocorrelations(values)
    last = float(correlations[-1]) if len(correlations) else math.nan
    sequence = confidence_sequence(values, alpha=alpha, sharpest_at=sharpest(sessions))
    return Look(sessions, values, last, BAND / math.sqrt(max(len(values), 1)), sequence)


def blocks(daily: ArrayLike, sessions: int) -> Array:
    """Sums over consecutive blocks of so many sessions, whole ones alone.

    >>> blocks([1, 2, 3, 4, 5, 6, 7], 3).tolist()
    [6.0, 15.0]
    """
    values = np.asarray(daily, np.float64)
    whole = len(values) // sessions
    return values[: whole * sessions].reshape(whole, sessions).sum(axis=1)


def autocorrelations(values: ArrayLike) -> Array:
    """Lag-1 autocorrelation of the first t values, for every t: shape (n,). NaN for fewer than three, or no spread.

    >>> autocorrelations([1, 2, 3, 4])[-1].round(4)
    np.float64(0.25)
    """
    x = np.asarray(values, np.float64)
    n = np.arange(1, len(x) + 1)
    x = x - (x[0] if len(x) else 0.0)
    total = x.cumsum()
    mean = total / n
    products = np.concatenate([[0.0], (x[1:] * x[:-1]).cumsum()])[: len(x)]
    ends = 2.0 * total - (x[0] if len(x) else 0.0) - x  # of all but the last, and of all but the first
    above = products - mean * ends + (n - 1) * mean**2
    below = (x**2).cumsum() - n * mean**2
    known = (n >= 3) & (below > 1e-12 * np.maximum((x**2).cumsum(), 1e-300))
    return np.divide(above, below, out=np.full(len(x), np.nan), where=known)


def first_apart(daily: ArrayLike, *, sessions: int = SESSIONS, alpha: float = 0.05) -> int | None:
    """Sessions after which who looks every day first sees the difference told apart from 0; None: on no day.

    The same as asking `look` after every session, in one pass.
    """
    values = np.asarray(daily, np.float64)
    settled = np.zeros(len(values) + 1, bool)  # by a shorter block
    found: list[int] = []
    for block in _doubled(sessions):
        observed = blocks(values, block)
        if len(observed) < LEAST:
            break
        count = np.arange(len(values) + 1) // block  # observations at each look
        bounds = confidence_sequence(observed, alpha=alpha, sharpest_at=sharpest(block))
        dependent = autocorrelations(observed) > BAND / np.sqrt(np.arange(1, len(observed) + 1))
        excluded = (bounds.low > 0.0) | (bounds.high < 0.0)
        mine = ~settled & (count >= LEAST)
        at = np.maximum(count - 1, 0)
        seen = np.flatnonzero(mine & ~dependent[at] & excluded[at])
        found += seen[:1].tolist()
        settled |= mine & ~dependent[at]
    return min(found, default=None)
