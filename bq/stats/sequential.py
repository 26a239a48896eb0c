"""Bounds that may be looked at every day: the asymptotic confidence sequence of a mean."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST = 20  # observations before which there are no bounds
Array = NDArray[np.float64]


class Sequence(NamedTuple):
    """Running mean with its bounds, arrays of shape (n_observations,); bounds are NaN before the 20th observation."""

    mean: Array
    low: Array
    high: Array


def confidence_sequence(values: ArrayLike, *, alpha: float, sharpest_at: int) -> Sequence:
    """Bounds of the mean that all hold together with probability 1 − alpha, however often one looks and stops.

    values : array of shape (n_observations,), in order, no NaN; observations must be independent, so of dependent
    events take means over blocks longer than the dependence, each used only when everything in it has closed.
    sharpest_at : observation at which the bounds are to be narrowest; fixed before the first look.

    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, doi:10.1214/24-AOS2408. Value at t uses observations up to t.
    """
    values = np.asarray(values, np.float64)
    t = np.arange(1, len(values) + 1)
    mean = values.cumsum() / t
    around = values - (values[0] if len(values) else 0.0)  # no digits lost where the mean is far from zero
    square = (around**2).cumsum() - around.cumsum() ** 2 / t
    deviation = np.sqrt(np.maximum(square, 0.0) / np.maximum(t - 1, 1))
    reach = np.where(t >= LEAST, deviation * radius(t, alpha=alpha, sharpest_at=sharpest_at), np.nan)
    return Sequence(mean, mean - reach, mean + reach)


def radius(t: ArrayLike, *, alpha: float, sharpest_at: int) -> Array:
    """Half width of the sequence after `t` observations, in standard deviations of one observation.

    >>> radius([30, 100, 250, 500], alpha=0.05, sharpest_at=100).round(5).tolist()
    [0.57868, 0.30354, 0.19535, 0.14156]
    """
    t = np.asarray(t, np.float64)
    twice = -2.0 * np.log(alpha)
    rho2 = (twice + np.log(twice) + 1.0) / sharpest_at
    grown = t * rho2 + 1.0
    return np.sqrt(2.0 * grown / (t**2 * rho2) * np.log(np.sqrt(grown) / alpha))
