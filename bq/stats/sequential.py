"""Bounds that may be looked at every day: confidence sequences of a mean and of a share."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.errors import BadParameters

LEAST = 20  # observations before which there are no bounds
TINY = 1e-12  # a share is not told apart from 0 or 1 by less
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

    Half width: `student_radius` standard deviations (ddof 1). For many observations that is the asymptotic sequence of
    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, doi:10.1214/24-AOS2408 (`radius`); before, it counts that the
    deviation is itself estimated. Value at t uses observations up to t.
    """
    values = np.asarray(values, np.float64)
    t = np.arange(1, len(values) + 1)
    mean = values.cumsum() / t
    around = values - (values[0] if len(values) else 0.0)  # no digits lost where the mean is far from zero
    square = (around**2).cumsum() - around.cumsum() ** 2 / t
    deviation = np.sqrt(np.maximum(square, 0.0) / np.maximum(t - 1, 1))
    reach = np.full(len(values), np.nan)
    enough = slice(LEAST - 1, None)
    reach[enough] = deviation[enough] * student_radius(t[enough], alpha=alpha, sharpest_at=sharpest_at)
    return Sequence(mean, mean - reach, mean + reach)


def radius(t: ArrayLike, *, alpha: float, sharpest_at: int) -> Array:
    """Half width of the sequence after `t` observations, in standard deviations of one observation.

    >>> radius([30, 100, 250, 500], alpha=0.05, sharpest_at=100).round(5).tolist()
    [0.57868, 0.30354, 0.19535, 0.14156]
    """
    t, rho2 = np.asarray(t, np.float64), _precision(alpha, sharpest_at)
    grown = t * rho2 + 1.0
    return np.sqrt(2.0 * grown / (t**2 * rho2) * np.log(np.sqrt(grown) / alpha))


def student_radius(t: ArrayLike, *, alpha: float, sharpest_at: int) -> Array:
    """The same where the standard deviation (ddof 1) is that of the observations: exact for normal ones; inf: no bound.

    The Bayes factor of a mean in standard deviations with a normal prior of variance ρ², as of `radius`, and a density
    of 1/σ of the deviation: Lai 1976, doi:10.1214/aos/1176343406; Wang & Ramdas 2023, arXiv:2310.03722.

    >>> student_radius([20, 100, 500], alpha=0.05, sharpest_at=100).round(5).tolist()
    [0.9064, 0.3099, 0.14214]
    """
    t, prior = np.asarray(t, np.float64), 1.0 / _precision(alpha, sharpest_at)
    whole = t + prior
    kept = (alpha**2 * prior / whole) ** (1.0 / t)
    left = whole * kept - prior
    square = whole * (1.0 - kept) * (t - 1.0) / t
    return np.sqrt(np.divide(square, left, out=np.full(np.shape(left), np.inf), where=left > 0.0))


def _precision(alpha: float, sharpest_at: int) -> float:
    """ρ² of the sequence that is narrowest there, by the expansion of the optimum that this project uses."""
    twice = -2.0 * math.log(alpha)
    return (twice + math.log(twice) + 1.0) / sharpest_at


class Share(NamedTuple):
    """A share of so many trials, with bounds that hold however often one looks."""

    value: float  # NaN without a trial
    low: float
    high: float
    n: int


def share_sequence(successes: int, n: int, *, alpha: float, sharpest_at: int) -> Share:
    """Bounds of a probability from independent trials; those of all looks hold together with probability 1 − alpha.

    sharpest_at : trial at which they are to be narrowest; fixed before the first look. Two-sided beta-binomial mixture
    with the precision of confseq (`bernoulli_confidence_interval`): Howard, Ramdas, McAuliffe & Sekhon 2021,
    doi:10.1214/20-AOS1991, proposition 7. Without a trial the bounds are 0 and 1.

    >>> [round(bound, 6) for bound in share_sequence(700, 1000, alpha=0.05, sharpest_at=100)[1:3]]
    [0.65163, 0.74595]
    """
    if not 0 <= successes <= n:
        raise BadParameters(f"`successes` must lie between 0 and `n` ({n}), but got {successes}.")
    if n == 0:
        return Share(math.nan, 0.0, 1.0, 0)
    from scipy.special import betaln, xlog1py, xlogy

    twice = -2.0 * math.log(alpha)
    precision = sharpest_at / (twice + math.log1p(twice)) - 1.0

    def excess(p: float) -> float:
        """Log wealth against the share p, less its limit: above 0 where p lies outside."""
        a, b = precision * p, precision * (1.0 - p)
        wealth = betaln(a + successes, b + n - successes) - betaln(a, b)
        return float(wealth - xlogy(successes, p) - xlog1py(n - successes, -p) + math.log(alpha))

    seen = successes / n
    inside = min(max(seen, TINY), 1.0 - TINY)
    return Share(seen, _edge(excess, 0.0, inside), _edge(excess, 1.0, inside), n)


def _edge(excess: Callable[[float], float], end: float, seen: float) -> float:
    """The bound between what was seen and an end; the end itself where nothing before it is excluded."""
    from scipy.optimize import brentq

    outermost = abs(end - TINY)
    if abs(seen - end) <= TINY or excess(outermost) <= 0.0:
        return end
    return float(brentq(excess, outermost, seen, xtol=TINY))
