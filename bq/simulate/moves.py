"""What simulated markets are made of: shocks, persistence, and bars around a path without expectation.

A move that is normal given its variance and compensated by half of it has no expectation, whatever drew the variance:
so prices are martingales under fat tails too, inside the day as well, where stops are filled.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Random = np.random.Generator

CORRELATION = 0.3  # of the shocks of two names


class Path(NamedTuple):
    """Logarithms of the prices of each session, arrays of shape (n_sessions, n_columns)."""

    open: Array
    high: Array
    low: Array
    close: Array


def shocks(rng: Random, shape: tuple[int, int]) -> Array:
    """Normal shocks with correlation .3 between names and √.3 with the index, which is column 0."""
    common = rng.standard_normal((shape[0], 1))
    own = rng.standard_normal((shape[0], shape[1] - 1))
    return np.hstack([common, np.sqrt(CORRELATION) * common + np.sqrt(1.0 - CORRELATION) * own])


def mixing(rng: Random, shape: int | tuple[int, ...], *, degrees: float) -> Array:
    """Random variances of mean 1: a normal shock times the root of one is Student-t with so many degrees of freedom."""
    return (degrees - 2.0) / rng.chisquare(degrees, shape)


def autoregression(rng: Random, shape: tuple[int, int], memory: float) -> Array:
    """A stationary first-order autoregression of variance 1 in each column."""
    from scipy.signal import lfilter  # late: whoever only reads bars has no use for it

    values = rng.standard_normal(shape)
    values[1:] *= np.sqrt(1.0 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], values, axis=0))


def walk(rng: Random, *, overnight: Array, daytime: Array, drift: Array | float = 0.0) -> Path:
    """A path from 0 whose expected gain, beyond the drift, is nothing from any moment of a day to any other.

    overnight, daytime : variance of the two parts of each session, shape (n_sessions, n_columns). drift : expected log
    gain of each session, spread over both by their variance. The first session is the beginning: it does not move.
    """
    share = overnight / (overnight + daytime)
    night = share * drift - 0.5 * overnight + np.sqrt(overnight) * shocks(rng, overnight.shape)
    day = (1.0 - share) * drift - 0.5 * daytime + np.sqrt(daytime) * shocks(rng, daytime.shape)
    night[0] = day[0] = 0.0
    close = np.cumsum(night + day, axis=0)
    opens = close - day
    return Path(opens, *extremes(rng, opens, close, daytime), close)


def extremes(rng: Random, start: Array, end: Array, variance: Array) -> tuple[Array, Array]:
    """Highest and lowest of a Brownian path between two points, each by its own law (Karatzas & Shreve 1991, 2.8)."""
    reach = [np.sqrt((end - start) ** 2 - 2.0 * variance * np.log1p(-rng.random(start.shape))) for _ in range(2)]
    middle = start + end
    return (middle + reach[0]) / 2.0, (middle - reach[1]) / 2.0
