"""Whether two Sharpe ratios differ: the studentised circular block bootstrap of Ledoit and Wolf."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.errors import BadData
from bq.stats.sharpe import series

CHUNK = 4_000_000  # numbers drawn at once
Array = NDArray[np.float64]


class SharpeDifference(NamedTuple):
    """Sharpe ratio of the first series minus that of the second, per period."""

    difference: float
    low: float  # symmetric interval of 1 − alpha around the difference
    high: float
    p: float  # two-sided, that they are equal
    standard_error: float
    n: int  # periods
    blocks: int


def sharpe_difference(
    first: ArrayLike, second: ArrayLike, *, block: int, alpha: float, draws: int, seed: int
) -> SharpeDifference:
    """Compare the Sharpe ratios (population moments, per period) of two series over the same periods.

    first, second : arrays of shape (n_periods,), paired, in time order, no NaN, in percent as in the paper: the error's
    bandwidth weighs means against squares, so that the unit matters a little. block : length of the blocks in periods.
    Ledoit & Wolf 2008, doi:10.1016/j.jempfin.2008.03.002: difference over its prewhitened HAC error (Parzen), against
    the same in circular blocks of the sample, whose error comes from their own block sums.

    Raises BadData where a ratio does not exist, the series do not pair, or there are not two blocks.
    """
    returns = [series(first), series(second)]
    sizes = [len(values) for values in returns]
    if sizes[0] != sizes[1] or sizes[0] < max(2 * block, 10):
        raise BadData(
            f"both series must cover the same periods, ten or more and two blocks of {block}, but got {sizes[0]} and "
            f"{sizes[1]}."
        )
    pair = np.column_stack(returns)
    moments = np.column_stack([pair, pair**2])
    mean = moments.mean(axis=0)
    difference, gradient = _difference(mean[None])[0], _gradient(mean[None])[0]
    error = np.sqrt(gradient @ _long_run_covariance(moments - mean) @ gradient / len(pair))
    statistics = _studentised(moments, difference, block, draws, np.random.default_rng(seed))
    reached = int((statistics >= abs(difference) / error).sum())
    reach = float(np.quantile(statistics, 1.0 - alpha)) * error
    return SharpeDifference(
        difference=float(difference),
        low=float(difference - reach),
        high=float(difference + reach),
        p=(reached + 1) / (draws + 1),
        standard_error=float(error),
        n=len(pair),
        blocks=len(pair) // block,
    )


def _difference(mean: Array) -> Array:
    """Difference of the ratios for moments (mean, mean, square, square), shape (n, 4)."""
    ratios = mean[:, :2] / np.sqrt(mean[:, 2:] - mean[:, :2] ** 2)
    return ratios[:, 0] - ratios[:, 1]


def _gradient(mean: Array) -> Array:
    """Derivative of `_difference` by each moment, shape (n, 4)."""
    cubed = (mean[:, 2:] - mean[:, :2] ** 2) ** 1.5
    return np.hstack([mean[:, 2:] / cubed, -0.5 * mean[:, :2] / cubed]) * [1.0, -1.0, 1.0, -1.0]


def _studentised(moments: Array, difference: float, block: int, draws: int, random: np.random.Generator) -> Array:
    """|difference in a draw − difference| over its own error, shape (draws,); inf where a draw has no ratio."""
    n, count = len(moments), len(moments) // block
    running = np.vstack([np.zeros(4), np.cumsum(np.vstack([moments, moments[:block]]), axis=0)])
    sums = running[block : block + n] - running[:n]  # of the block that starts at each row, around the end
    found = []
    for size in np.diff([*range(0, draws, max(CHUNK // (4 * count), 1)), draws]):
        drawn = sums[random.integers(0, n, (size, count))]
        mean = drawn.mean(axis=1) / block
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw in which one of them held nothing
            scores = ((drawn - block * mean[:, None]) * _gradient(mean)[:, None]).sum(axis=2)
            errors = np.sqrt((scores**2).mean(axis=1) / block / n)
            found.append(np.abs(_difference(mean) - difference) / errors)
    return np.nan_to_num(np.concatenate(found), nan=np.inf, posinf=np.inf)


def _long_run_covariance(deviations: Array) -> Array:
    """Prewhitened by a first-order vector autoregression (Andrews & Monahan 1992, doi:10.2307/2951574)."""
    coefficients = np.linalg.lstsq(deviations[:-1], deviations[1:], rcond=None)[0].T
    left, singular, right = np.linalg.svd(coefficients)
    coefficients = left @ np.diag(np.minimum(singular, 0.97)) @ right
    recolour = np.linalg.inv(np.eye(4) - coefficients)
    return recolour @ _parzen(deviations[1:] - deviations[:-1] @ coefficients.T) @ recolour.T


def _parzen(values: Array) -> Array:
    """Parzen kernel with the bandwidth of Andrews 1991, doi:10.2307/2938229, from an AR(1) of each column."""
    n = len(values)
    above, below = 0.0, 0.0
    for column in values.T:
        centred = column - column.mean()
        design = np.column_stack([np.ones(n - 1), centred[:-1]])
        fitted = np.linalg.lstsq(design, centred[1:], rcond=None)[0]
        rho, variance = fitted[1], np.mean((centred[1:] - design @ fitted) ** 2)
        above += 4.0 * rho**2 * variance**2 / (1.0 - rho) ** 8
        below += variance**2 / (1.0 - rho) ** 4
    bandwidth = min(2.6614 * (above / below * n) ** 0.2, n - 1.0)
    total = values.T @ values / n
    for lag in range(1, int(np.ceil(bandwidth))):
        x = lag / bandwidth
        weight = 1.0 - 6.0 * x**2 + 6.0 * x**3 if x <= 0.5 else 2.0 * (1.0 - x) ** 3
        covariance = values[lag:].T @ values[:-lag] / n
        total += weight * (covariance + covariance.T)
    return total * n / (n - 4)
