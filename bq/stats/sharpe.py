"""How much a Sharpe ratio proves: against a benchmark, and after the best of many trials was chosen.

Every ratio here is per period of the returns it came from. An annual ratio with a daily count of periods overstates the
evidence sixteenfold, so the functions take a `Track`, which comes from a series of returns (`track`). Kurtosis is not
the excess: a normal distribution has 3.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.errors import BadData, BadParameters

STILL = 1e-9  # of the largest value: a spread that is not wider is rounding, as is one of returns below the next
ROUNDING = 1e-14  # of a return, which is a ratio of two levels of wealth less 1
BELOW_A_PERIOD = 1.0  # a ratio of 1 a session is one of 16 a year: what reaches it was annualised


class Track(NamedTuple):
    """What a series of returns says about its Sharpe ratio. Made by `track`."""

    sharpe_per_period: float
    n: int  # periods
    skew: float
    kurtosis: float  # not the excess
    autocorrelation: float  # of lag 1


class Trials(NamedTuple):
    """How many independent things were tried, and how far their Sharpe ratios lie apart (`overfitting`)."""

    number: float
    spread_per_period: float  # standard deviation of the trials' Sharpe ratios


class Both(NamedTuple):
    """A figure by the published formula and by its revision of 2025 (autocorrelation, variance at the benchmark)."""

    published: float
    revised: float


def track(returns: ArrayLike) -> Track:
    """The Sharpe ratio and the moments of a series of returns.

    returns : array of shape (n_periods,), excess of the risk-free rate, in time order, no NaN (a period without a
    position returns 0). Convention: standard deviation with ddof 1 in the ratio, population moments otherwise.

    Raises BadData where the ratio does not exist.
    """
    values = series(returns)
    deviations = values - values.mean()
    z = deviations / values.std()
    return Track(
        sharpe_per_period=ratio(values),
        n=len(values),
        skew=float((z**3).mean()),
        kurtosis=float((z**4).mean()),
        autocorrelation=float((z[1:] * z[:-1]).sum() / len(z)),
    )


def ratio(returns: ArrayLike) -> float:
    """Mean over standard deviation (ddof 1) of returns, shape (n_periods,); NaN where they do not vary."""
    values = np.asarray(returns, np.float64)
    return over(float(values.mean()), float(values.std(ddof=1)), of=values) if len(values) > 1 else math.nan


def over(value: float, risk: float, *, of: ArrayLike) -> float:
    """A figure of returns over their risk; NaN where the risk is nothing but rounding.

    of : the returns. A treasury bill's curve has no Sharpe ratio, and none of 10¹³.
    """
    return float(value / risk) if risk > _least(of) else math.nan


def varies(returns: ArrayLike) -> bool:
    """Whether returns, shape (n_periods,), differ by more than rounding."""
    values = np.asarray(returns, np.float64)
    return len(values) > 1 and bool(values.std(ddof=1) > _least(values))


def _least(returns: ArrayLike) -> float:
    return max(STILL * float(np.abs(returns).max(initial=0.0)), ROUNDING)


def probabilistic(track: Track, *, benchmark: float = 0.0) -> Both:
    """Probability that the true Sharpe ratio exceeds `benchmark` (per period).

    Published: Bailey & López de Prado 2012, doi:10.21314/JOR.2012.255. Revised: López de Prado, Lipton & Zoonekynd
    2025, doi:10.2139/ssrn.5520741, the variance under the hypothesis instead of at the estimate, with AR(1) returns.
    """
    if abs(benchmark) >= BELOW_A_PERIOD:
        raise BadParameters(
            f"benchmark must be a Sharpe ratio per period, between -{BELOW_A_PERIOD:g} and {BELOW_A_PERIOD:g}, but got "
            f"{benchmark:.3g}. Divide an annual ratio by √(periods a year)."
        )
    return _probability(track, benchmark, trials=1.0)


def minimum_track_record(track: Track, *, benchmark: float = 0.0, alpha: float = 0.05) -> Both:
    """Periods of such returns needed to exceed `benchmark` (per period) at one-sided `alpha`.

    Inf where the ratio is not above the benchmark, so also for one that no ratio per period reaches. Revised: to exceed
    every ratio from 0 to the benchmark, as `deflated`.
    """
    from scipy.special import ndtri

    distance = track.sharpe_per_period - benchmark
    if distance <= 0:
        return Both(math.inf, math.inf)
    factor = (float(ndtri(1.0 - alpha)) / distance) ** 2
    published = 1.0 + factor * _variance(track._replace(autocorrelation=0.0), track.sharpe_per_period)
    hardest = _hardest(track, benchmark)
    revised = (float(ndtri(1.0 - alpha)) / (track.sharpe_per_period - hardest)) ** 2 * _variance(track, hardest)
    return Both(published, revised)


def expected_maximum(trials: Trials) -> float:
    """The Sharpe ratio (per period) that the best of `trials` without skill is expected to show.

    Bailey & López de Prado 2014, doi:10.3905/jpm.2014.40.5.094. One trial: 0.
    """
    from scipy.special import ndtri

    if trials.number <= 1.0:
        return 0.0
    first, second = ndtri(1.0 - 1.0 / trials.number), ndtri(1.0 - 1.0 / (trials.number * math.e))
    return trials.spread_per_period * float((1.0 - np.euler_gamma) * first + np.euler_gamma * second)


def deflated(track: Track, *, trials: Trials, floor: float = 0.0) -> Both:
    """Probability that the Sharpe ratio of the trial that was chosen exceeds what the best of `trials` shows by luck.

    floor : ratio per period that the benchmark is not below, whatever the trials' spread.

    Published: Bailey & López de Prado 2014. Revised: as `probabilistic`, with the variance of a maximum, and the lowest
    over every true ratio from 0 to the benchmark: the trial has no skill in any of these cases. The variance at the
    benchmark alone grows with it, and would let a ratio far below look better against a higher one.
    """
    benchmark = max(expected_maximum(trials), floor)
    found = _probability(track, benchmark, trials=max(trials.number, 1.0))
    hardest = _probability(track, _hardest(track, benchmark), trials=max(trials.number, 1.0))
    return Both(found.published, min(found.revised, hardest.revised))


def series(returns: ArrayLike) -> NDArray[np.float64]:
    """Returns as an array of shape (n_periods,). Raises BadData unless they are a finite series that varies."""
    values = np.asarray(returns, np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise BadData(
            "returns must be a series of two or more numbers without gaps, one a period (0 where there was no "
            f"position), but got shape {values.shape} with {int((~np.isfinite(values)).sum())} that are not finite. "
            "A Sharpe ratio alone is not enough."
        )
    if not varies(values):
        raise BadData(f"returns must vary, but all {len(values)} are {values[0]:g}: they have no Sharpe ratio.")
    return values


def _probability(track: Track, benchmark: float, *, trials: float) -> Both:
    from scipy.special import ndtr

    distance = track.sharpe_per_period - benchmark
    plain = _variance(track._replace(autocorrelation=0.0), track.sharpe_per_period) / (track.n - 1)
    revised = _variance(track, benchmark) / track.n * _variance_of_maximum(trials)
    return Both(*(float(ndtr(distance / math.sqrt(variance))) for variance in (plain, revised)))


def _hardest(track: Track, benchmark: float) -> float:
    """The true ratio from 0 to `benchmark` that the estimate exceeds by the fewest standard errors.

    Its distance in standard errors, (ratio − at) / √_variance(at), has one stationary point; the lowest variance may be
    nothing, of returns with two values.
    """
    constant, linear, square = _terms(track)
    ratio, ends = track.sharpe_per_period, [0.0, benchmark]
    if slope := square * ratio - linear / 2.0:
        ends.append((linear * ratio / 2.0 - constant) / slope)
    if square:
        ends.append(linear / (2.0 * square))
    inside = [at for at in ends if min(0.0, benchmark) <= at <= max(0.0, benchmark)]
    return min(inside, key=lambda at: (ratio - at) / math.sqrt(_variance(track, at)))


def _variance(track: Track, at: float) -> float:
    """Variance of √n × the estimate where the true ratio is `at`; returns AR(1), innovations of any shape."""
    constant, linear, square = _terms(track)
    return max(constant - linear * at + square * at**2, np.finfo(float).tiny)


def _terms(track: Track) -> tuple[float, float, float]:
    """What `_variance` is made of: constant, factor of −at, factor of at²."""
    rho = track.autocorrelation
    linear = 1.0 + rho / (1.0 - rho) + rho**2 / (1.0 - rho**2)
    square = (1.0 + rho**2) / (1.0 - rho**2)
    return (1.0 + rho) / (1.0 - rho), linear * track.skew, square * (track.kurtosis - 1.0) / 4.0


def _variance_of_maximum(count: float) -> float:
    """Variance of the largest of `count` independent standard normal values."""
    from scipy.special import ndtr

    z = np.linspace(-10.0, 10.0, 4001)
    density = np.exp(-0.5 * z**2) * ndtr(z) ** (count - 1.0)
    mean = np.average(z, weights=density)
    return float(np.average((z - mean) ** 2, weights=density))
