"""CUPED: what it saves, that it saves no more, and that it leaves the difference where it is."""

import numpy as np
import pytest
import statsmodels.api as sm

from bq.core.errors import BadData
from bq.stats import cuped


def groups(n, *, correlation, effect, rng):
    """Outcomes of variance 1, a covariate that goes along with them, and who is in the first group (70%)."""
    x, first = rng.standard_normal(n), rng.random(n) < 0.7
    y = correlation * x + np.sqrt(1 - correlation**2) * rng.standard_normal(n) + effect * first
    return y, x, first


def difference(values, first):
    return values[first].mean() - values[~first].mean()


@pytest.mark.parametrize("correlation", [0.0, 0.6], ids=str)
def test_it_saves_the_squared_correlation_of_the_variance_and_moves_nothing(correlation):
    """800 experiments of 300 units: variance of the difference, with and without."""
    rng, found = np.random.default_rng(11), []
    for _ in range(800):
        y, x, first = groups(300, correlation=correlation, effect=0.2, rng=rng)
        made = cuped.adjust(y, x, first)
        found.append((difference(y, first), difference(made.values, first), made.saved))
    plain, adjusted, said = np.array(found).T
    saved = 1 - adjusted.var() / plain.var()
    assert saved == pytest.approx(correlation**2, abs=0.06) and said.mean() == pytest.approx(correlation**2, abs=0.01)
    assert adjusted.mean() == pytest.approx(0.2, abs=4 * adjusted.std() / 800**0.5)


def test_the_difference_is_that_of_a_regression_on_group_and_covariate():
    y, x, first = groups(80, correlation=0.5, effect=1.0, rng=np.random.default_rng(2))
    fitted = sm.OLS(y, sm.add_constant(np.column_stack([first, x]))).fit()
    made = cuped.adjust(y, x, first)
    assert made.slope == pytest.approx(fitted.params[2])
    assert difference(made.values, first) == pytest.approx(fitted.params[1])


def test_a_difference_of_the_groups_is_not_taken_for_something_explained():
    """The covariate separates the groups and says nothing within them."""
    rng = np.random.default_rng(4)
    first = np.arange(400) < 200
    made = cuped.adjust(first + rng.standard_normal(400), 50.0 + rng.standard_normal(400), first)
    assert made.saved < 0.02


def test_a_covariate_that_does_not_vary_explains_nothing():
    first = np.array([True, True, False, False])
    made = cuped.adjust([1.0, 2.0, 3.0, 5.0], [7.0] * 4, first)
    assert made.values.tolist() == [1.0, 2.0, 3.0, 5.0] and (made.slope, made.saved) == (0.0, 0.0)


def test_a_group_of_one_is_refused():
    with pytest.raises(BadData, match="two units or more, but got 1 and 2"):
        cuped.adjust([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [True, False, False])
