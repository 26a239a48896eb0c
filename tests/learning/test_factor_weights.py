"""Factor weights: what chance could have shown gets no weight, and more independent events show more."""

import numpy as np
import pytest
from planted_panel import learning, panel, rank_ic

from bq.core.settings import Stack
from bq.learning import model
from bq.learning.factor_weights import LARGEST, FactorWeights


def standardised(n: int, factors: int, seed: int) -> np.ndarray:
    """Factors of mean 0, variance 1 and no correlation with each other."""
    x, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, factors + 1)) + np.eye(n, factors + 1))
    x -= x.mean(axis=0)
    x, _ = np.linalg.qr(x[:, :factors])
    return np.sqrt(n) * x


@pytest.mark.parametrize(("strength", "ridge"), [(0.5, 1.0), (1.0, 0.2)])
def test_weights_of_unrelated_factors_are_shrunk_covariances(strength, ridge):
    """Soft threshold of each covariance at strength × sd × √(2 ln p / n), divided by 1 + ridge."""
    n, factors = 4000, 6
    x, rng = standardised(n, factors, 0), np.random.default_rng(1)
    y = x @ np.array([0.3, -0.1, 0.02, 0.0, 0.0, 0.0]) + rng.standard_normal(n) + 2.0
    found = FactorWeights(strength=strength, ridge=ridge).fit(x, y, np.ones(n))
    covariance = x.T @ (y - y.mean()) / n
    threshold = strength * y.std() * np.sqrt(2.0 * np.log(factors) / n)
    wanted = np.sign(covariance) * np.maximum(np.abs(covariance) - threshold, 0.0) / (1.0 + ridge)
    assert (wanted == 0).any() and (wanted != 0).sum() >= 2
    np.testing.assert_allclose(found.coef_, wanted, atol=2e-4)
    assert found.intercept_ == pytest.approx(y.mean(), abs=1e-3)


def test_events_that_overlap_count_by_their_uniqueness():
    """Each event five times with a fifth of its weight is the same evidence; with the whole weight it is more."""
    x, rng = standardised(600, 8, 2), np.random.default_rng(3)
    y = 0.15 * x[:, 0] + 0.08 * x[:, 1] + rng.standard_normal(600)
    once = FactorWeights(strength=0.5, ridge=1.0).fit(x, y, np.ones(600))
    five, again = np.repeat(x, 5, axis=0), np.repeat(y, 5)
    unique = FactorWeights(strength=0.5, ridge=1.0).fit(five, again, np.full(3000, 0.2))
    whole = FactorWeights(strength=0.5, ridge=1.0).fit(five, again, np.ones(3000))
    np.testing.assert_allclose(unique.coef_, once.coef_, atol=1e-6)
    assert np.abs(whole.coef_).sum() > 1.2 * np.abs(once.coef_).sum()


def test_of_factors_that_say_nothing_the_best_alone_has_a_weight():
    """At a strength of 1 in at least 60 of 100 samples: the largest of 20 correlations stays below the penalty in
    (2Φ(√(2 ln 20)) − 1)^20 = 75% of samples, and then one factor is kept."""
    alone = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((500, 20)), rng.standard_normal(500)
        found = FactorWeights(strength=1.0, ridge=1.0).fit((x - x.mean(axis=0)) / x.std(axis=0), y, np.ones(500))
        alone += np.count_nonzero(found.coef_) == 1
        assert np.count_nonzero(found.coef_) >= 1
    assert alone >= 60


def test_the_best_factor_keeps_a_tenth_of_its_covariance_whatever_the_penalty():
    x, rng = standardised(400, 5, 4), np.random.default_rng(5)
    y = 0.2 * x[:, 3] + rng.standard_normal(400)
    found = FactorWeights(strength=100.0, ridge=1.0).fit(x, y, np.ones(400))
    covariance = float(x[:, 3] @ (y - y.mean()) / 400)
    assert np.flatnonzero(found.coef_).tolist() == [3]
    assert found.coef_[3] == pytest.approx((1.0 - LARGEST) * covariance / 2.0, rel=1e-2)


def test_in_a_stack_they_stand_beside_the_others_and_for_each_regime():
    """Out of sample on a planted panel, their rank IC is that of a model that has found the linear part."""
    planted = panel(symbols=20, sessions=300, ic=0.3)
    cut = 20 * 200
    train, test = planted.sample.rows(np.arange(cut)), planted.sample.rows(np.arange(cut, len(planted.oracle)))
    own = Stack(models=["factor_weights", "lightgbm"], regime_model="factor_weights", inner_folds=2)
    settings = learning().model_copy(update={"stack": own})
    fitted = model.fit("stack", train, n_classes=0, learning=settings)
    assert list(fitted.base.bases) == ["factor_weights", "lightgbm"] and len(fitted.base.experts) == 3
    _, alone = fitted.by_layer(test.x, test.category, test.size)
    assert rank_ic(alone["factor_weights"], test.label, test.events).mean() > 0.08
    assert fitted.importance()["factor_weights"].argmax() == 0
