"""Weights of factors under a penalty that grows with the noise: what chance could have shown gets no weight.

Of p factors that say nothing, the largest correlation with the label is about √(2 ln p / n) over n independent events
(Donoho & Johnstone 1994, doi:10.1093/biomet/81.3.425). A lasso whose penalty is a share of that keeps a factor only for
what stands out of it, and a ridge draws the weights of factors that resemble each other together (Zou & Hastie 2005,
doi:10.1111/j.1467-9868.2005.00503.x). An elastic net of a fixed penalty cannot know how much it was shown.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import ElasticNet

Array = NDArray[np.float64]
LARGEST = 0.9  # of the penalty that would leave no factor a weight: the best one keeps some


class FactorWeights(BaseEstimator):
    """A linear regression on standardised features, as a scikit-learn estimator.

    strength : the lasso's penalty in units of the largest correlation that chance shows. ridge : in variances of the
    features. The sum of the sample weights is taken as the number of independent events: uniqueness weights add up to
    it, and decay leaves what still counts.
    """

    def __init__(self, *, strength: float, ridge: float) -> None:
        self.strength, self.ridge = strength, ridge

    def fit(self, x: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any]) -> Self:
        """Fit on features of shape (n_events, n_features), standardised."""
        weight = np.asarray(sample_weight, np.float64)
        lasso = min(self.strength * _chance(y, weight, x.shape[1]), LARGEST * _largest(x, y, weight))
        alpha = lasso + self.ridge
        model = ElasticNet(alpha=alpha, l1_ratio=lasso / alpha, precompute=True).fit(x, y, sample_weight=weight)
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        return self

    def predict(self, x: NDArray[Any]) -> Array:
        """The target of each row."""
        return x @ self.coef_ + self.intercept_


def _chance(y: NDArray[Any], weight: Array, factors: int) -> float:
    """About the largest covariance of the label with one of so many standardised factors that say nothing of it."""
    level = np.average(y, weights=weight)
    spread = np.sqrt(np.average((y - level) ** 2, weights=weight))
    return float(spread * np.sqrt(2.0 * np.log(max(factors, 2)) / weight.sum()))


def _largest(x: NDArray[Any], y: NDArray[Any], weight: Array) -> float:
    """The largest covariance of the label with a factor."""
    share = weight / weight.sum()
    centred = np.asarray(y, np.float64) - share @ y
    return float(np.abs((share * centred) @ x).max())
