"""Distances between the empirical distributions of two sorted samples, in one pass over both."""

import numpy as np
from numba import njit


@njit(cache=True)
def distances(first, second):
    """Kolmogorov–Smirnov statistic and first Wasserstein distance of two ascending samples; NaN where one is empty."""
    n, m = len(first), len(second)
    if n == 0 or m == 0:
        return np.nan, np.nan
    i = j = 0
    largest = area = 0.0
    here = min(first[0], second[0])
    while i < n or j < m:
        value = second[j] if i == n or (j < m and second[j] < first[i]) else first[i]
        gap = abs(i / n - j / m)
        largest = max(largest, gap)
        area += gap * (value - here)
        here = value
        while i < n and first[i] == value:
            i += 1
        while j < m and second[j] == value:
            j += 1
    return largest, area
