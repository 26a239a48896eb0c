"""Ranks within a session."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

MISSING = np.uint64(2**64 - 1)  # sorts behind every number


@njit(cache=True, nogil=True, error_model="numpy")
def _keys(bits, keys):
    """Whole numbers that sort as the floats do whose bits are given, with the column in their lower half."""
    for i in range(bits.shape[0]):
        for j in range(bits.shape[1]):
            b = bits[i, j]
            if (b & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
                keys[i, j] = MISSING
                continue
            if b == np.uint32(0x80000000):  # minus zero equals zero
                b = np.uint32(0)
            ordered = ~b if b >> np.uint32(31) else b | np.uint32(0x80000000)
            keys[i, j] = (np.uint64(ordered) << np.uint64(32)) | np.uint64(j)


@njit(cache=True, nogil=True, error_model="numpy")
def _assign(keys, out):
    for i in range(keys.shape[0]):
        n = keys.shape[1]
        while n > 0 and keys[i, n - 1] == MISSING:
            n -= 1
        out[i] = np.nan
        first = 0
        while first < n:
            value = keys[i, first] >> np.uint64(32)
            end = first + 1
            while end < n and keys[i, end] >> np.uint64(32) == value:
                end += 1
            rank = np.float32(0.5 * (first + end) / n - 0.5)
            for k in range(first, end):
                out[i, keys[i, k] & np.uint64(0xFFFFFFFF)] = rank
            first = end


def rank_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rank of each value within its row, from just above -0.5 to just below 0.5; equal values share their mean rank.

    values : float32 (n_rows, n_columns); NaN stays NaN and does not count.

    >>> rank_rows(np.array([[3.0, 1.0, np.nan, 2.0, 2.0]], np.float32)).tolist()
    [[0.375, -0.375, nan, 0.0, 0.0]]
    """
    values = np.ascontiguousarray(values, np.float32)
    keys = np.empty(values.shape, np.uint64)
    _keys(values.view(np.uint32), keys)
    keys.sort(axis=1)  # NumPy sorts whole numbers in vector registers, numba does not
    out = np.empty(values.shape, np.float32)
    _assign(keys, out)
    return out
