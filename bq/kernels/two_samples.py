"""Kolmogorov–Smirnov against a sorted sample, and counts in bins: passes over the other sample, without sorting it."""

import numpy as np
from numba import njit

CELLS = 1 << 16  # equally wide, over the range of the first sample


@njit(cache=True)
def _cell(value, low, scale):
    return min(max(int((value - low) * scale), 0), CELLS - 1)


@njit(cache=True)
def _merged(first, second, i, j, above, below):
    """Largest distance within a cell; i, j : values of either sample before it. first, second : ascending."""
    largest, a, b = 0.0, 0, 0
    while a < len(first) or b < len(second):
        value = second[b] if a == len(first) or (b < len(second) and second[b] < first[a]) else first[a]
        while a < len(first) and first[a] == value:
            a += 1
        while b < len(second) and second[b] == value:
            b += 1
        largest = max(largest, abs((i + a) * above - (j + b) * below))
    return largest


@njit(cache=True)
def ks_statistic(first, second):
    """Largest distance between the two empirical distributions; NaN where one is empty.

    first : ascending and finite. second : in any order; what is not finite is left out. Distances at the edges of cells
    are exact; values are looked at one by one only in cells where the largest could lie, which are few.
    """
    n, m = len(first), 0
    if n == 0:
        return np.nan
    low = np.float64(first[0])
    width = np.float64(first[-1]) - low
    scale = (CELLS - 1) / width if width > 0 else 0.0
    ours, theirs = np.zeros(CELLS, np.int32), np.zeros(CELLS, np.int32)
    for value in first:
        ours[_cell(value, low, scale)] += 1
    for value in second:
        if np.isfinite(value):
            theirs[_cell(value, low, scale)] += 1
            m += 1
    if m == 0:
        return np.nan
    above, below, largest, i, j = 1.0 / n, 1.0 / m, 0.0, 0, 0
    for k in range(CELLS):
        i, j = i + ours[k], j + theirs[k]
        largest = max(largest, abs(i * above - j * below))
    asked, i, j, count = np.zeros(CELLS, np.bool_), 0, 0, 0
    for k in range(CELLS):
        if theirs[k] and max((i + ours[k]) * above - j * below, (j + theirs[k]) * below - i * above) > largest:
            asked[k], count = True, count + theirs[k]
        i, j = i + ours[k], j + theirs[k]
    values, at = np.empty(count, second.dtype), 0
    for value in second:
        if np.isfinite(value) and asked[_cell(value, low, scale)]:
            values[at], at = value, at + 1
    values.sort()
    i, j, at = 0, 0, 0
    for k in range(CELLS):
        if asked[k]:
            within = _merged(first[i : i + ours[k]], values[at : at + theirs[k]], i, j, above, below)
            largest, at = max(largest, within), at + theirs[k]
        i, j = i + ours[k], j + theirs[k]
    return largest


@njit(cache=True)
def place(column, cut):
    """The bin of each value: how many inner edges are smaller; NaN one behind the last bin."""
    bins = np.empty(len(column), np.int64)
    for i in range(len(column)):
        value, at = column[i], 0
        for j in range(len(cut)):
            at += cut[j] < value
        bins[i] = len(cut) + 1 if np.isnan(value) else at
    return bins
