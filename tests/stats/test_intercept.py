"""The intercept as a series, against the regressions of statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from bq.stats.blocks import Blocks
from bq.stats.intercept import intercept


def sample(n=200, regressors=2, seed=0):
    rng = np.random.default_rng(seed)
    x = 0.3 + rng.standard_normal((n, regressors))
    scale = 1.0 + np.abs(x[:, 0])  # heteroscedastic
    return 0.1 + x @ np.linspace(0.5, -0.4, regressors) + scale * rng.standard_normal(n), x


@pytest.mark.parametrize("regressors", [1, 2, 3])
def test_mean_and_standard_error_are_those_of_statsmodels_with_hc1(regressors):
    y, x = sample(regressors=regressors)
    parts = intercept(y, x)
    found = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC1")
    assert parts.mean() == pytest.approx(found.params[0])
    assert parts.std(ddof=1) / np.sqrt(len(parts)) == pytest.approx(found.bse[0])


def test_without_a_regressor_that_varies_it_is_the_series():
    y, _ = sample()
    assert intercept(y, np.zeros(len(y))) == pytest.approx(y)


def test_a_regressor_given_twice_changes_nothing():
    y, x = sample(regressors=1)
    assert intercept(y, np.hstack([x, x])) == pytest.approx(intercept(y, x))


def test_sessions_without_a_value_are_left_out():
    y, x = sample()
    gaps = y.copy()
    gaps[[3, 70]] = np.nan
    holes = x.copy()
    holes[[5], 1] = np.nan
    parts = intercept(gaps, holes)
    known = np.delete(np.arange(len(y)), [3, 5, 70])
    assert np.isnan(parts[[3, 5, 70]]).all()
    assert parts[known] == pytest.approx(intercept(y[known], x[known]))


def test_of_too_few_sessions_nothing_is_known():
    assert np.isnan(intercept([1.0, 2.0], [3.0, 5.0])).all()


def test_a_levered_copy_of_the_rule_earns_nothing_beyond_it():
    _, x = sample(regressors=1)
    assert intercept(2.0 * x[:, 0], x) == pytest.approx(np.zeros(len(x)), abs=1e-12)


def test_its_lower_bound_errs_as_often_as_it_says():
    """An intercept of 0 under overlapping outcomes (five rows), 400 series of 200 rows at 5%: 20 expected."""
    wrong = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        smooth = np.ones(5) / np.sqrt(5)
        common, noise = (np.convolve(rng.standard_normal(204), smooth, "valid") for _ in range(2))
        low = Blocks(7.5, 0.05, 500, seed).mean(intercept(0.5 * (0.3 + common) + noise, 0.3 + common)).low
        wrong += low > 0.0
    assert 6 <= wrong <= 34  # the 99.9% binomial band
