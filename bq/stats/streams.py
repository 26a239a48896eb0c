"""Detectors of change in a stream of values, one a block of outcomes that do not overlap: see `non_overlapping`.

A detector is a path, one figure a value, that alarms where it reaches its limit: see `limits`. Overlapping labels make
every one of them alarm where nothing has changed. All arrays have time as the last axis.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LOST = 2 / 3  # of the skill over chance: the smallest harm worth acting on, as labels turned for a third of the space
LEAST_HARM = 0.05  # and of a reference without skill, more errors by so much
BETS = (0.25, 0.5, 1.0)  # of the e-process: shares of the largest bet that cannot lose all


def cusum(values: ArrayLike) -> Array:
    """Running sum that starts again from 0 where it falls below: Page 1954, doi:10.1093/biomet/41.1-2.100.

    >>> cusum([1.0, -3.0, 2.0, 1.0]).tolist()
    [1.0, 0.0, 2.0, 3.0]
    """
    total = np.cumsum(np.asarray(values, np.float64), axis=-1)
    return total - np.minimum(np.minimum.accumulate(total, axis=-1), 0.0)


def two_sided_cusum(z: ArrayLike, *, k: float) -> Array:
    """The larger of the two one-sided sums. z : standardised values. k : half of the shift that is looked for."""
    z = np.asarray(z, np.float64)
    return np.maximum(cusum(z - k), cusum(-z - k))


def ewma(z: ArrayLike, *, weight: float) -> Array:
    """Absolute exponentially weighted mean from 0, in its asymptotic standard deviations: Roberts 1959,
    doi:10.1080/00401706.1959.10489860. z : standardised values."""
    from scipy.signal import lfilter

    mean = lfilter([weight], [1.0, weight - 1.0], np.asarray(z, np.float64), axis=-1)
    return np.abs(mean) / np.sqrt(weight / (2.0 - weight))


def harmed(p0: ArrayLike) -> Array:
    """The error rate that is worth acting on: LOST of its distance from .5 lost, and LEAST_HARM above it at least.

    >>> harmed([0.25, 0.4, 0.5]).round(3).tolist()
    [0.417, 0.467, 0.55]
    """
    p0 = np.asarray(p0, np.float64)
    return np.minimum(np.maximum(p0 + LOST * (0.5 - p0), p0 + LEAST_HARM), (1.0 + p0) / 2.0)


def llr_cusum(errors: ArrayLike, p0: ArrayLike, *, size: float = 1.0) -> Array:
    """CUSUM of the Bernoulli log-likelihood ratio of `harmed(p0)` against p0.

    errors : 0 or 1, or the mean of several, which count as `size` independent ones. p0 : of each stream.
    Moustakides 1986, doi:10.1214/aos/1176350164: it is found soonest at a given rate of false alarms.
    """
    x, p0 = np.asarray(errors, np.float64), np.asarray(p0, np.float64)[..., None]
    p1 = harmed(p0)
    return cusum(size * (x * np.log(p1 / p0) + (1.0 - x) * np.log((1.0 - p1) / (1.0 - p0))))


def e_process(errors: ArrayLike, p0: ArrayLike) -> Array:
    """Logarithm of the wealth of bets that errors exceed p0 from some value on; at any time, P(wealth >= c) <= 1/c.

    errors : in [0, 1]. A share 1/(j(j+1)) of the stake begins to bet at value j, in equal parts at each of BETS, so
    that a change that comes late is found too. It needs E[error | past] <= p0 alone: no independence, no distribution.
    Waudby-Smith & Ramdas 2024, doi:10.1093/jrsssb/qkad009; Ville 1939.
    """
    x, p0 = np.asarray(errors, np.float64), np.asarray(p0, np.float64)[..., None]
    begins = np.arange(1, x.shape[-1] + 1)
    stake = -np.log(begins) - np.log(begins + 1)
    rest = -np.log(begins + 1.0)  # of those that begin later
    parts = []
    for bet in BETS:
        grown = np.cumsum(np.log1p(bet * (x - p0) / p0 * (1.0 - 1e-9)), axis=-1)
        before = np.concatenate([np.zeros((*grown.shape[:-1], 1)), grown[..., :-1]], axis=-1)
        parts.append(grown + np.logaddexp.accumulate(stake - before, axis=-1))
    bets = np.logaddexp.reduce(np.stack(parts), axis=0) - np.log(len(BETS))
    return np.logaddexp(bets, rest)


def first_alarm(path: Array, limit: float) -> NDArray[np.int64]:
    """Number of the first value, from 1, at which each path reaches the limit; 0: at none."""
    over = path >= limit
    return np.where(over.any(axis=-1), over.argmax(axis=-1) + 1, 0)


def non_overlapping(start: ArrayLike, end: ArrayLike, *, span: float) -> NDArray[np.int64]:
    """The block of each label, -1 where it is in none: labels of two blocks never overlap.

    start, end : of each label's interval, shape (n,), sorted by start. A block takes the labels that begin within
    `span` of its first; the next begins when all of these have ended.

    >>> non_overlapping([0, 1, 2, 3, 6, 7], [4, 5, 6, 7, 9, 9], span=2).tolist()
    [0, 0, -1, -1, 1, 1]
    """
    start, end = np.asarray(start), np.asarray(end)
    block, at, number = np.full(len(start), -1), 0, 0
    while at < len(start):
        stop = int(np.searchsorted(start, start[at] + span, side="left"))
        stop = max(stop, int(np.searchsorted(start, start[at], side="right")))
        block[at:stop] = number
        at, number = max(stop, int(np.searchsorted(start, end[at:stop].max(), side="left"))), number + 1
    return block
