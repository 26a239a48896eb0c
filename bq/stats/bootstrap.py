"""Intervals for means of dependent series by the stationary bootstrap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.numerals import bounds, with_sign

LEAST_BLOCKS = 5  # of fewer, Student's quantile says more about itself than about the mean


class Interval(NamedTuple):
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int  # observations
    blocks: float  # observations / mean block length: how much independent evidence there is

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """Both bounds; None and None where there are too few blocks for any."""
        return (self.low, self.high) if self.low <= self.high else (None, None)

    def __str__(self) -> str:
        return f"{with_sign(self.mean)} {bounds(*self.ends)}"


def bootstrap_means(values: ArrayLike, *, block: float, alpha: float, draws: int, seed: int) -> list[Interval]:
    """Mean of each column with its two-sided 1 − 2·alpha interval; each bound holds one-sided at alpha.

    values : array of shape (n_sessions, n_series), rows in time order; NaN is left out of its column's means.
    block : mean block length in rows, not less than the dependence lasts. All columns are resampled together.

    Student's interval of the stationary bootstrap's standard error (Politis & Romano 1994,
    doi:10.1080/01621459.1994.10476870), see `_standard_errors`: Hesterberg 2015, doi:10.1080/00031305.2015.1089789. Of
    independent rows in blocks of one it is the usual t-interval. It has one degree of freedom a block, as that variance
    varies like such a chi-square (Patton, Politis & White 2009, doi:10.1080/07474930802459016).

    It is symmetric on purpose. Percentiles of the draws lean as the sample does, and the skewness of thirty sums of
    blocks is mostly noise that comes with the error of the mean: where trades are few and come in spells they hold less
    often than they say, and bias-corrected percentiles and Hall's transformation, which lean farther, still less (the
    figures are in docs/calibration.md). Heavy tails alone need no fewer degrees of freedom: the block that moves the
    mean widens the interval. Where outcomes truly are skewed, one bound errs more often than alpha and the other less.

    A column with fewer than two values, or than five blocks, has no interval: low and high are NaN.
    Without a value its mean is NaN too.
    """
    from scipy.special import stdtrit

    from bq.kernels.bootstrap import stationary_means

    series = np.atleast_2d(np.asarray(values, np.float64))
    rows = len(series)
    block = float(min(max(block, 1.0), max(rows, 1)))
    known = np.isfinite(series)
    n = known.sum(axis=0)
    sums = np.where(known, series, 0.0).sum(axis=0)
    middle = np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)
    half, enough = np.full(len(n), np.nan), (n >= 2) & (n >= LEAST_BLOCKS * block)
    if enough.any():
        # around zero, so that no digit is lost in the running sums
        around = np.where(known, series - middle, np.nan)[:, enough]
        resampled = stationary_means(around, block, draws, np.random.default_rng(seed))
        student = stdtrit(n[enough] / block - 1.0, 1.0 - alpha)
        half[enough] = student * _standard_errors(around, np.nanvar(resampled, axis=0), block)
    return [
        Interval(
            float(middle[i]), float(middle[i] - half[i]), float(middle[i] + half[i]), int(n[i]), float(n[i] / block)
        )
        for i in range(len(n))
    ]


def bootstrap_mean(values: ArrayLike, *, block: float, alpha: float, draws: int, seed: int) -> Interval:
    """`bootstrap_means` of one series of shape (n_sessions,)."""
    return bootstrap_means(np.asarray(values)[:, None], block=block, alpha=alpha, draws=draws, seed=seed)[0]


def _standard_errors(around: NDArray[np.float64], drawn: NDArray[np.float64], block: float) -> NDArray[np.float64]:
    """Standard error of the mean of each column, shape (n_columns,), from the variance of its draws.

    around : deviations from the mean, shape (n_rows, n_columns). drawn : that variance, which is too small twice:

    - deviations are from the sample's mean, which costs about two blocks' worth of variance, one row's at block 1;
    - blocks break dependence at their ends: at a block of 1.5 × the overlap of labels the variance is 19 % short. Where
      the lag window that is flat over that overlap (Politis & Romano 1995, doi:10.1111/j.1467-9892.1995.tb00223.x)
      sees more variance, that counts.
    """
    n = np.isfinite(around).sum(axis=0)
    spent = (2.0 * block - 1.0) / n
    terms = np.nan_to_num(around) / n  # their sum is the mean's deviation
    reach = 1.0 + (block - 1.0) * 4.0 / 3.0
    lags = np.arange(min(int(np.ceil(reach)), len(around)))
    window = np.clip(2.0 * (1.0 - lags / reach), 0.0, 1.0) * np.where(lags == 0, 1.0, 2.0)
    power = np.abs(np.fft.rfft(terms, 2 * len(terms), axis=0)) ** 2
    flat = window @ np.fft.irfft(power, 2 * len(terms), axis=0)[: len(lags)]
    return np.sqrt(np.maximum(drawn, flat) / (1.0 - spent))
