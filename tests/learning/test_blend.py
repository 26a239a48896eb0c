"""The meta-learner that is an average: what its penalty does, and that it finds the weights that fit best."""

import numpy as np
import pytest
from scipy.optimize import minimize, nnls
from scipy.special import log_softmax
from sklearn.linear_model import LinearRegression

from bq.learning.blend import BlendClassifier, BlendRegressor

N = 600
WEIGHT = np.random.default_rng(9).uniform(0.5, 1.0, N)


@pytest.fixture(scope="module")
def numbers() -> tuple[np.ndarray, np.ndarray]:
    """Answers of three layers, alike and of unequal worth, two columns of regimes, and a target."""
    rng = np.random.default_rng(1)
    y, common = rng.standard_normal(N), rng.standard_normal(N)
    said = np.column_stack([worth * y + 0.5 * common + rng.standard_normal(N) for worth in (0.8, 0.4, -0.2)])
    p = rng.uniform(size=N)
    return np.column_stack([said - said.mean(axis=0), p, 1 - p]), y


@pytest.fixture(scope="module")
def classes() -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of three classes by two layers, without regimes, and the class that came."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 3, N)
    said = [log_softmax(worth * np.eye(3)[y] + rng.standard_normal((N, 3)), axis=1) for worth in (1.0, 0.3)]
    return np.hstack(said), y


def regress(data: tuple[np.ndarray, np.ndarray], shrinkage: float) -> BlendRegressor:
    return BlendRegressor(layers=3, width=1, shrinkage=shrinkage).fit(*data, sample_weight=WEIGHT)


def test_without_a_penalty_weights_are_the_non_negative_least_squares(numbers):
    x, y = numbers
    share = WEIGHT / WEIGHT.sum()
    # one of two regimes that add up to 1, with either sign
    inputs = np.column_stack([x[:, :3], x[:, 3], -x[:, 3], np.ones(N), -np.ones(N)])
    expected, _ = nnls(inputs * np.sqrt(share)[:, None], y * np.sqrt(share))
    assert regress(numbers, 1e-7).coef_[:3] == pytest.approx(expected[:3], abs=1e-4)
    assert expected[2] == 0.0, "the third layer would have a negative weight"


def test_with_a_large_penalty_it_is_the_equally_weighted_average_on_its_own_scale(numbers):
    x, y = numbers
    found = regress(numbers, 1e6)
    slope = LinearRegression().fit(x[:, :3].sum(axis=1, keepdims=True), y, WEIGHT)
    assert found.coef_[:3] == pytest.approx([slope.coef_[0]] * 3, rel=1e-3)
    assert found.coef_[3:] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert found.predict(x) == pytest.approx(slope.predict(x[:, :3].sum(axis=1, keepdims=True)), abs=1e-3)


def test_the_more_penalty_the_less_weights_differ(numbers):
    spreads = [np.ptp(regress(numbers, shrinkage).coef_[:3]) for shrinkage in (0.01, 0.1, 1.0, 10.0)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] > 2 * spreads[-1] > 0.0


def test_of_two_layers_that_say_the_same_neither_is_dropped(numbers):
    """Where a lasso keeps one of them."""
    x, y = numbers
    twins = np.column_stack([x[:, 0], x[:, 0] + 1e-6 * x[:, 1], x[:, 3:]])
    first, second = BlendRegressor(layers=2, width=1, shrinkage=0.3).fit(twins, y, WEIGHT).coef_[:2]
    assert first == pytest.approx(second, rel=1e-3) and first > 0.1


def test_classes_are_pooled_with_one_weight_a_layer_of_the_largest_likelihood(classes):
    x, y = classes
    found = BlendClassifier(layers=2, width=3, shrinkage=1e-9).fit(x, y, WEIGHT)
    weights = found.coef_[:, :3][0, 0], found.coef_[:, 3:][0, 0]
    assert found.coef_ == pytest.approx(np.hstack([weight * np.eye(3) for weight in weights]))

    def loss(flat: np.ndarray) -> float:
        score = flat[0] * x[:, :3] + flat[1] * x[:, 3:] + np.append(flat[2:], 0.0)
        return float(-np.average(log_softmax(score, axis=1)[np.arange(N), y], weights=WEIGHT))

    best = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-6, "fatol": 1e-10})
    assert weights == pytest.approx(best.x[:2], abs=0.01)
    answers = found.predict_proba(x)
    assert -np.average(np.log(answers[np.arange(N), y]), weights=WEIGHT) == pytest.approx(best.fun, abs=1e-5)
    assert answers.sum(axis=1) == pytest.approx(1.0)


def test_with_a_large_penalty_classes_are_pooled_alike(classes):
    found = BlendClassifier(layers=2, width=3, shrinkage=1e4).fit(*classes, WEIGHT)
    assert found.coef_[0, 0] == pytest.approx(found.coef_[0, 3], rel=1e-3)
    assert found.coef_[0, 0] > 0.1
