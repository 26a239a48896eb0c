"""Intervals for means of dependent series by the stationary bootstrap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int  # observations
    blocks: float  # observations / mean block length: how much independent evidence there is

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap_means(values: ArrayLike, *, block: float, alpha: float, draws: int, seed: int) -> list[Interval]:
    """Mean of each column with its two-sided 1 − 2·alpha percentile interval; each bound holds one-sided at alpha.

    values : array of shape (n_sessions, n_series), rows in time order; NaN is left out of its column's means.
    block : mean block length in rows, not less than the dependence lasts. All columns are resampled together.
    Politis & Romano 1994, doi:10.1080/01621459.1994.10476870, by `arch.bootstrap`.

    A column with fewer than two values has no interval: low and high are NaN. Without a value its mean is NaN too.
    """
    from arch.bootstrap import StationaryBootstrap

    series = np.atleast_2d(np.asarray(values, np.float64))
    rows = len(series)
    block = min(max(block, 1.0), max(rows, 1))
    known = np.isfinite(series)
    filled = np.where(known, series, 0.0)

    def means(total: np.ndarray, count: np.ndarray) -> np.ndarray:
        sums, counts = total.sum(axis=0), count.sum(axis=0)
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)

    middle, n = means(filled, known), known.sum(axis=0)
    bounds, enough = np.full((2, len(middle)), np.nan), n >= 2
    if enough.any():
        bootstrap = StationaryBootstrap(block, filled, known, seed=np.random.default_rng(seed))
        resampled = bootstrap.apply(means, draws)[:, enough]
        bounds[:, enough] = np.nanquantile(resampled, [alpha, 1.0 - alpha], axis=0)
    return [
        Interval(float(middle[i]), float(bounds[0, i]), float(bounds[1, i]), int(n[i]), float(n[i] / block))
        for i in range(len(middle))
    ]


def bootstrap_mean(values: ArrayLike, *, block: float, alpha: float, draws: int, seed: int) -> Interval:
    """`bootstrap_means` of one series of shape (n_sessions,)."""
    return bootstrap_means(np.asarray(values)[:, None], block=block, alpha=alpha, draws=draws, seed=seed)[0]
