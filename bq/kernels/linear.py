"""A small dense linear system, solved without leaving compiled code."""

from numba import njit


@njit(cache=True)
def solve(matrix, right, size):
    """Solve the leading `size` equations in place by elimination with row pivoting.

    The solution is left in `right`, `matrix` is destroyed. Returns False, with both half done, where it is singular.
    """
    for i in range(size):
        pivot = i
        for k in range(i + 1, size):
            if abs(matrix[k, i]) > abs(matrix[pivot, i]):
                pivot = k
        if matrix[pivot, i] == 0.0:
            return False
        if pivot != i:
            for j in range(i, size):
                matrix[i, j], matrix[pivot, j] = matrix[pivot, j], matrix[i, j]
            right[i], right[pivot] = right[pivot], right[i]
        for k in range(i + 1, size):
            factor = matrix[k, i] / matrix[i, i]
            for j in range(i + 1, size):
                matrix[k, j] -= factor * matrix[i, j]
            right[k] -= factor * right[i]
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            right[i] -= matrix[i, j] * right[j]
        right[i] /= matrix[i, i]
    return True
