"""How long a stream of dependent results must be watched until a change of its mean is told from chance."""

import numpy as np
from numpy.typing import ArrayLike

from bq.stats.bootstrap import LEAST_BLOCKS
from bq.stats.year import DAYS_A_MONTH

POWER = 0.8  # probability that a change of the asked size is found by then


def block_means(values: ArrayLike, *, block: float) -> np.ndarray:
    """Means of consecutive blocks of `block` rows (rounded up), shape (n_blocks,); a last, shorter one is left out.

    values : one a session in time order; NaN is left out of its block's mean, a block of NaN alone has no mean.

    >>> block_means([1.0, 3.0, 5.0, 7.0, 100.0], block=1.5).tolist()
    [2.0, 6.0]
    """
    series = np.asarray(values, np.float64)
    rows = max(int(np.ceil(block)), 1)
    whole = series[: len(series) // rows * rows].reshape(-1, rows)
    known = np.isfinite(whole)
    sums, counts = np.where(known, whole, 0.0).sum(axis=1), known.sum(axis=1)
    return sums[counts > 0] / counts[counts > 0]


def months_to_verdict(
    values: ArrayLike, *, block: float, difference: float, alpha: float, days_a_row: float
) -> float | None:
    """Months until a mean that is off by `difference` is told from none, with probability 80%.

    values : one a session in time order, so far. block : mean block of their resampling, in rows, so that the means of
    blocks hardly depend on each other. days_a_row : calendar days from one row to the next, on average.

    Blocks needed: ((z(1 - alpha) + z(.8)) * s / difference)^2, where s is the standard deviation (ddof 1) of the means
    of blocks so far: the sample size of a one-sided z-test (Chow, Shao & Wang 2008, ISBN 978-1-58488-982-3, section
    3.1), times the block's rows and days, over 30.44. None of fewer than five blocks, or of a difference of 0.

    >>> round(months_to_verdict([0.0, 2.0] * 5, block=1, difference=1.0, alpha=0.025, days_a_row=30.44), 2)
    8.72
    """
    from scipy.special import ndtri

    means = block_means(values, block=block)
    if len(means) < LEAST_BLOCKS or not abs(difference) > 0.0:
        return None
    blocks = ((ndtri(1.0 - alpha) + ndtri(POWER)) * means.std(ddof=1) / difference) ** 2
    return float(blocks * max(np.ceil(block), 1.0) * days_a_row / DAYS_A_MONTH)
