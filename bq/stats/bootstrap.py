"""Intervals for means of dependent series by the stationary bootstrap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.numerals import with_sign

LEAST_BLOCKS = 5  # of fewer, Student's quantile says more about itself than about the mean


class Interval(NamedTuple):
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int  # observations
    blocks: float  # observations / mean block length: how much independent evidence there is

    def __str__(self) -> str:
        bounds = f"{with_sign(self.low)}, {with_sign(self.high)}" if self.low <= self.high else "no interval"
        return f"{with_sign(self.mean)} [{bounds}]"


def bootstrap_means(values: ArrayLike, *, block: float, alpha: float, draws: int, seed: int) -> list[Interval]:
    """Mean of each column with its two-sided 1 − 2·alpha percentile interval; each bound holds one-sided at alpha.

    values : array of shape (n_sessions, n_series), rows in time order; NaN is left out of its column's means.
    block : mean block length in rows, not less than the dependence lasts. All columns are resampled together.

    Politis & Romano 1994, doi:10.1080/01621459.1994.10476870. A plain percentile bound of few blocks lies too near the
    mean, so the distance is stretched: see `_stretch`.

    A column with fewer than two values, or than five blocks, has no interval: low and high are NaN.
    Without a value its mean is NaN too.
    """
    from bq.kernels.bootstrap import stationary_means

    series = np.atleast_2d(np.asarray(values, np.float64))
    rows = len(series)
    block = float(min(max(block, 1.0), max(rows, 1)))
    known = np.isfinite(series)
    n = known.sum(axis=0)
    sums = np.where(known, series, 0.0).sum(axis=0)
    middle = np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)
    bounds, enough = np.full((2, len(n)), np.nan), (n >= 2) & (n >= LEAST_BLOCKS * block)
    if enough.any():
        # around zero, so that no digit is lost in the running sums
        around = np.where(known, series - middle, np.nan)[:, enough]
        resampled = stationary_means(around, block, draws, np.random.default_rng(seed))
        distances = np.nanquantile(resampled, [alpha, 1.0 - alpha], axis=0)
        bounds[:, enough] = middle[enough] + distances * _stretch(around, resampled, block, alpha)
    return [
        Interval(float(middle[i]), float(bounds[0, i]), float(bounds[1, i]), int(n[i]), float(n[i] / block))
        for i in range(len(n))
    ]


def bootstrap_mean(values: ArrayLike, *, block: float, alpha: float, draws: int, seed: int) -> Interval:
    """`bootstrap_means` of one series of shape (n_sessions,)."""
    return bootstrap_means(np.asarray(values)[:, None], block=block, alpha=alpha, draws=draws, seed=seed)[0]


def _stretch(around: NDArray[np.float64], resampled: NDArray[np.float64], block: float, alpha: float) -> NDArray:
    """How much farther from the mean than the percentile of the draws the bound of each column has to lie.

    Three things make percentile bounds too near, one factor for each:

    - the variance is itself estimated: that of the stationary bootstrap varies like a chi-square with one degree of
      freedom a block (Patton, Politis & White 2009, doi:10.1080/07474930802459016), so Student's quantile replaces the
      normal one, as Hesterberg 2015, doi:10.1080/00031305.2015.1089789, does for independent data;
    - deviations are from the sample's mean, which costs about two blocks' worth of variance, one row's at block 1;
    - blocks break dependence at their ends: at a block of 1.5 × the overlap of labels the variance is 19 % short. Where
      the lag window that is flat over that overlap (Politis & Romano 1995, doi:10.1111/j.1467-9892.1995.tb00223.x)
      sees more variance, that counts.
    """
    from scipy.special import ndtri, stdtrit

    n = np.isfinite(around).sum(axis=0)
    student = stdtrit(n / block - 1.0, 1.0 - alpha) / ndtri(1.0 - alpha)
    spent = (2.0 * block - 1.0) / n
    terms = np.nan_to_num(around) / n  # their sum is the mean's deviation
    reach = 1.0 + (block - 1.0) * 4.0 / 3.0
    lags = np.arange(min(int(np.ceil(reach)), len(around)))
    window = np.clip(2.0 * (1.0 - lags / reach), 0.0, 1.0) * np.where(lags == 0, 1.0, 2.0)
    power = np.abs(np.fft.rfft(terms, 2 * len(terms), axis=0)) ** 2
    flat = window @ np.fft.irfft(power, 2 * len(terms), axis=0)[: len(lags)]
    plain = np.nanvar(resampled, axis=0)
    short = np.divide(flat, plain, out=np.ones_like(flat), where=plain > 0.0)
    return student * np.sqrt(np.maximum(short, 1.0) / (1.0 - spent))
