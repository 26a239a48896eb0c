"""What a series earns beyond what moves it: the intercept of a regression, as a series of its own."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def intercept(values: ArrayLike, on: ArrayLike) -> Array:
    """One number a row: their mean is the intercept of `values` regressed on `on`, and they vary as it does.

    values : array of shape (n_sessions,). on : shape (n_sessions,) or (n_sessions, n_regressors). A row with a NaN is
    left out of the regression and NaN in the answer.

    So a bound of a mean (`bq.stats.bootstrap`, with its blocks) is one of an intercept. A row is the intercept plus
    its influence on it: residual × (1 − (x − x̄)ᵀ S⁻¹ x̄), scaled by √((n − 1) / (n − regressors − 1)). Their standard
    deviation over √n is the standard error of White 1980, doi:10.2307/1912934, with the degrees of freedom of MacKinnon
    & White 1985, doi:10.1016/0304-4076(85)90158-7 (HC1). A regressor that does not vary explains nothing.

    >>> intercept([3.0, 5.0, 7.0], [1.0, 2.0, 3.0]).round(9).tolist()
    [1.0, 1.0, 1.0]
    """
    y, x = np.asarray(values, np.float64), np.asarray(on, np.float64).reshape(len(np.asarray(values)), -1)
    known = np.isfinite(y) & np.isfinite(x).all(axis=1)
    found, n = np.full(len(y), np.nan), int(known.sum())
    if n <= x.shape[1] + 1:
        return found
    y, x = y[known], x[known]
    middle, moved = x.mean(axis=0), x - x.mean(axis=0)
    inverse = np.linalg.pinv(moved.T @ moved / n, rcond=1e-10, hermitian=True)
    rank = np.linalg.matrix_rank(inverse, hermitian=True) if x.shape[1] else 0
    slopes = inverse @ (moved.T @ (y - y.mean()) / n)
    residual = y - y.mean() - moved @ slopes
    influence = residual * (1.0 - moved @ inverse @ middle) * np.sqrt((n - 1.0) / (n - rank - 1.0))
    found[known] = y.mean() - middle @ slopes + influence - influence.mean()
    return found
