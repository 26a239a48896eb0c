"""Stationary bootstrap of means: a draw is a handful of blocks, and a block's sum is a difference of prefix sums."""

import numpy as np
from numba import njit


@njit(cache=True)
def stationary_means(values, block, draws, generator):
    """Means of the columns in each draw, shape (draws, n_columns); NaN where a draw meets no value of the column.

    values : array of shape (n_rows, n_columns); NaN is left out. Blocks start anywhere with equal chance, wrap around,
    and have geometric lengths of mean `block`; all columns share them. Memory: the result and two copies of `values`.
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
            first = int(generator.random() * rows)
            length = 1 + int(min(np.log(1.0 - generator.random()) / decay, left - 1.0))
            for j in range(columns):
                total[j] += sums[first + length, j] - sums[first, j]
                count[j] += counts[first + length, j] - counts[first, j]
            left -= length
        for j in range(columns):
            means[draw, j] = total[j] / count[j] if count[j] else np.nan
    return means
