"""Stationary bootstrap: blocks start anywhere with equal chance, wrap around, and have geometric lengths."""

import numpy as np
from numba import njit


@njit(cache=True)
def _block(rows, left, decay, generator):
    """Start and length of the next block, at most `left` long. decay : log of the chance that a block goes on."""
    first = int(generator.random() * rows)
    return first, 1 + int(min(np.log(1.0 - generator.random()) / decay, left - 1.0))


@njit(cache=True)
def stationary_means(values, block, draws, generator):
    """Means of the columns in each draw, shape (draws, n_columns); NaN where a draw meets no value of the column.

    values : array of shape (n_rows, n_columns); NaN is left out. block : mean length of blocks; all columns share them.
    A draw is a handful of blocks, and a block's sum is a difference of prefix sums. Memory: the result and two copies
    of `values`.
    """
    rows, columns = values.shape
    sums, counts = np.zeros((2 * rows + 1, columns)), np.zeros((2 * rows + 1, columns), np.int64)
    for i in range(2 * rows):
        for j in range(columns):
            value = values[i % rows, j]
            known = not np.isnan(value)
            sums[i + 1, j] = sums[i, j] + (value if known else 0.0)
            counts[i + 1, j] = counts[i, j] + known
    means = np.empty((draws, columns))
    total, count = np.empty(columns), np.empty(columns, np.int64)
    decay = np.log1p(-1.0 / block)
    for draw in range(draws):
        total[:], count[:] = 0.0, 0
        left = rows
        while left > 0:
            first, length = _block(rows, left, decay, generator)
            for j in range(columns):
                total[j] += sums[first + length, j] - sums[first, j]
                count[j] += counts[first + length, j] - counts[first, j]
            left -= length
        for j in range(columns):
            means[draw, j] = total[j] / count[j] if count[j] else np.nan
    return means


@njit(cache=True)
def stationary_drawdowns(values, block, draws, generator):
    """Maximum drawdown of each column's running sum in each draw, shape (draws, n_columns): 0 or more, in its unit.

    values : array of shape (n_rows, n_columns), one after the other; block : mean length of blocks, which all columns
    share. The highest point of a sum starts at 0.
    """
    rows, columns = values.shape
    falls = np.zeros((draws, columns))
    total, peak = np.empty(columns), np.empty(columns)
    decay = np.log1p(-1.0 / block)
    for draw in range(draws):
        total[:], peak[:] = 0.0, 0.0
        left = rows
        while left > 0:
            first, length = _block(rows, left, decay, generator)
            for row in range(first, first + length):
                for j in range(columns):
                    total[j] += values[row % rows, j]
                    peak[j] = max(peak[j], total[j])
                    falls[draw, j] = max(falls[draw, j], peak[j] - total[j])
            left -= length
    return falls
