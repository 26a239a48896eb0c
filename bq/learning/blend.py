"""A meta-learner that shrinks towards the equally weighted average of the layers.

One weight per layer, not negative (Breiman 1996, doi:10.1007/BF00117832), with a penalty on their differences: an
infinite penalty gives the equally weighted average, which is hard to beat where layers predict much the same
(Timmermann 2006, doi:10.1016/S1574-0706(05)01004-9). There a lasso keeps one layer, chosen by the noise of the folds.
The penalty grows with the noise of a weight: where events are few, or say little, the average stays.
For classes the inputs are log-probabilities, and the blend is their logarithmic pool (Genest & Zidek 1986,
doi:10.1214/ss/1177013825).
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

Array = NDArray[np.float64]
APART = 0.16  # plausible deviation of the layers' weights around their mean, at a shrinkage of 1; 0.5 at 0.1


class Blend(BaseEstimator):
    """Weights of the layers' predictions, as a scikit-learn estimator; on inputs whose columns have mean 0.

    layers : their number. width : columns of each layer; these come first in the input, then the regime probabilities,
    whose coefficients are shrunk towards 0. shrinkage : penalty on unequal weights, in variances of the predictions, or
    where it is more, in noise of a weight: as a normal prior of deviation APART / √shrinkage has it.
    """

    def __init__(self, *, layers: int, width: int, shrinkage: float) -> None:
        self.layers, self.width, self.shrinkage = layers, width, shrinkage

    def _parts(self, x: NDArray[Any], sample_weight: NDArray[Any], noise: float) -> tuple[Array, Array, Array, Array]:
        """Predictions (n, layers, width), the other columns (n, others), each event's share, and the penalty matrix.

        noise : variance of an event's loss around its expectation; the weights add up to the independent events.
        """
        own = self.layers * self.width
        share = np.asarray(sample_weight, np.float64) / np.sum(sample_weight, dtype=np.float64)
        predicted, others = x[:, :own].astype(np.float64), x[:, own:].astype(np.float64)
        spread = [float((share @ part**2).mean()) if part.size else 0.0 for part in (predicted, others)]
        unequal = max(spread[0], noise / (APART**2 * float(np.sum(sample_weight, dtype=np.float64))))
        matrix = np.zeros((self.layers + others.shape[1],) * 2)
        matrix[: self.layers, : self.layers] = unequal * (np.eye(self.layers) - 1.0 / self.layers)
        matrix[self.layers :, self.layers :] = spread[1] * np.eye(others.shape[1])
        return predicted.reshape(-1, self.layers, self.width), others, share, self.shrinkage * matrix

    def _least(self, others: int) -> list[tuple[float | None, None]]:
        return [(0.0, None)] * self.layers + [(None, None)] * others


def centred(model: Blend) -> Pipeline:
    """The model behind a step that centres its inputs, as it requires."""
    return make_pipeline(StandardScaler(with_std=False), model)


class BlendRegressor(Blend):
    """Penalised least squares."""

    def fit(self, x: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any]) -> Self:
        """Fit on inputs of shape (n_events, layers + regimes). Raises LinAlgError where no prediction varies."""
        predicted, others, share, penalty = self._parts(x, sample_weight, float(np.var(y)))
        inputs = np.hstack([predicted[:, :, 0], others])
        mean, level = share @ inputs, float(share @ y)
        centred = inputs - mean
        root = np.linalg.cholesky((centred.T * share) @ centred + penalty)
        wanted = np.linalg.solve(root, (centred.T * share) @ (y - level))
        low = np.array([-np.inf if at is None else at for at, _ in self._least(others.shape[1])])
        self.coef_ = lsq_linear(root.T, wanted, bounds=(low, np.inf), method="bvls").x
        self.intercept_ = level - float(mean @ self.coef_)
        return self

    def predict(self, x: NDArray[Any]) -> Array:
        """The target of each row."""
        return x @ self.coef_ + self.intercept_


class BlendClassifier(Blend):
    """Penalised maximum likelihood; each class also has an intercept, and a coefficient for each regime."""

    def fit(self, x: NDArray[Any], y: NDArray[np.int64], sample_weight: NDArray[Any]) -> Self:
        """Fit on inputs of shape (n_events, layers × width + regimes), classes 0 to width - 1."""
        predicted, others, share, penalty = self._parts(x, sample_weight, 1.0)
        k, n = self.width, others.shape[1]
        came = np.eye(k)[y]
        square, level = penalty[: self.layers, : self.layers], float(penalty[-1, -1]) if n else 0.0

        def loss(flat: Array) -> tuple[float, Array]:
            c, d, a = flat[: self.layers], flat[self.layers : -k].reshape(n, k), flat[-k:]
            score = np.einsum("njk,j->nk", predicted, c) + others @ d + a
            away = (softmax(score, axis=1) - came) * share[:, None]
            value = -share @ (came * log_softmax(score, axis=1)).sum(axis=1)
            value += 0.5 * (c @ square @ c + level * (d**2).sum())
            slopes = [np.einsum("nk,njk->j", away, predicted) + square @ c, (others.T @ away + level * d).ravel()]
            return float(value), np.concatenate([*slopes, away.sum(axis=0)])

        first = np.concatenate([np.ones(self.layers), np.zeros(n * k + k)])
        found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=self._least(n * k + k)).x
        weights = np.kron(found[: self.layers], np.eye(k))
        self.coef_ = np.hstack([weights, found[self.layers : -k].reshape(n, k).T])
        self.intercept_ = found[-k:]
        return self

    def predict_proba(self, x: NDArray[Any]) -> Array:
        """Class probabilities of each row."""
        return softmax(x @ self.coef_.T + self.intercept_, axis=1)
