"""What stands beside learnt weights: Hedge and its bound, constants, a regression, a bandit."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from weighed_strategy import NAMES, WEIGHED, weighed_events, weighed_settings

from bq.learning import weighing
from bq.learning.weighing import Grid, Sessions
from bq.simulate.weighed import weighed
from bq.strategies.weighing import Parts
from bq.tuning.weights import comparators, figures

GRID = Grid.of(4)


def sessions(results: np.ndarray, *, delay: int = 0) -> Sessions:
    """Sessions of these results, each known `delay` sessions after the next one's decision."""
    n = len(results)
    rows = np.arange(n)
    days = pl.Series("session", rows).cast(pl.Date)
    known = np.maximum(rows - delay, 0)
    return Sessions(days, known, rows, rows, rows, np.zeros((n, 1), np.float32), results, results[:, 0])


@pytest.mark.parametrize("law", ["noise", "one is best", "turning"])
def test_hedges_regret_stays_within_its_bound_where_results_are_known_at_once(law):
    rng = np.random.default_rng(3)
    results = rng.random((400, 633))
    if law == "one is best":
        results[:, 77] = np.minimum(results[:, 77] + 0.3, 1.0)
    if law == "turning":
        results[:200, :300] *= 0.2
        results[200:, 300:] *= 0.2
    found = comparators.hedge(sessions(results), GRID, 0.0, 1.0)
    assert found.bound == pytest.approx(np.sqrt(200.0 * np.log(633.0)))
    assert found.regret <= found.bound
    assert found.regret == pytest.approx(results.sum(axis=0).max() - found.earned.sum())


def test_hedge_begins_with_all_alike_and_ends_at_the_best():
    results = np.full((300, 633), 0.2)
    results[:, 10] = 1.0
    found = comparators.hedge(sessions(results), GRID, 0.0, 1.0)
    assert found.weights[0] == pytest.approx(GRID.shares.mean(axis=0))
    assert found.weights[-1] == pytest.approx(GRID.shares[10], abs=1e-3)


def test_hedge_uses_no_result_before_it_is_known():
    rng = np.random.default_rng(0)
    results = rng.random((50, 633))
    changed = results.copy()
    changed[40:] = 1.0 - changed[40:]
    one, other = (comparators.hedge(sessions(of, delay=3), GRID, 0.0, 1.0).weights for of in (results, changed))
    assert np.array_equal(one[:44], other[:44]) and not np.allclose(one[44], other[44])


def test_constants_and_bandit_find_the_point_that_stands_out():
    rng = np.random.default_rng(1)
    distance = ((GRID.shares - np.array([0.10, 0.45, 0.30, 0.15])) ** 2).sum(axis=1)
    results = -distance + 0.01 * rng.standard_normal((200, 633))
    there, rows = sessions(results), np.arange(200)
    assert GRID.points[comparators.leader(there, rows)].tolist() == [10, 45, 30, 15]
    given = np.full(4, 0.25)
    found = comparators.constant(there, rows, GRID, given=given, trials=60, seed=1)
    middle = results[:, GRID.nearest(given)].mean()
    assert results[:, found].mean() > middle + 0.8 * (results.mean(axis=0).max() - middle)
    pulled = comparators.bandit(results, pulls=4_000, seed=1)
    assert distance[pulled] < np.quantile(distance, 0.05)


def test_a_ridge_regression_weighs_components_by_what_they_pay():
    rng = np.random.default_rng(2)
    values = rng.uniform(0.0, 100.0, (4_000, 4))
    session = np.repeat(np.arange(200), 20)
    outcome = values @ np.array([0.4, 0.2, 0.3, 0.1]) + 50.0 * rng.standard_normal(200)[session]  # sessions differ
    assert GRID.points[comparators.ridge(Parts(values, np.zeros(4_000)), outcome, session, GRID)].tolist() == [40, 20, 30, 10]  # fmt: skip # noqa: E501
    upside_down = comparators.ridge(Parts(values, np.zeros(4_000)), -outcome, session, GRID)
    assert GRID.points[upside_down].tolist() == [25, 25, 25, 25]


def test_in_the_world_that_is_planted_no_constant_gains_what_its_oracle_does():
    """Its law: at strength 0.2 the first component pays in regime 0, and costs as much in the other."""
    made = weighed(2_000, strength=0.2, seed=8)
    found = weighing.sessions_of(weighed_events(made), WEIGHED, weighed_settings(), GRID)
    first = GRID.points.tolist().index([50, 25, 5, 20])
    gain = found.results[:, first] - found.given
    mean, error = ([f(gain[made.regime == r]) for r in (0, 1)] for f in (np.mean, stats.sem))
    assert mean[0] > 4 * error[0] and mean[1] < -4 * error[1]
    own = made.outcome - made.outcome.mean(axis=1, keepdims=True)
    paid = [stats.pearsonr(made.components[made.regime == r][..., 0].ravel(), own[made.regime == r].ravel())[0] for r in (0, 1)]  # fmt: skip # noqa: E501
    assert paid[0] == pytest.approx(0.2 / np.sqrt(1.08), abs=0.02) and paid[1] == pytest.approx(-paid[0], abs=0.03)
    assert WEIGHED.weighing.components == NAMES


def test_the_interquartile_mean_is_scipys_and_its_interval_holds_it():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(5, 6))
    found = figures.interquartile(values, alpha=0.025, seed=1)
    assert found.mean == pytest.approx(stats.trim_mean(values.ravel(), 0.25))
    assert found.low < found.mean < found.high
    same = figures.interquartile(np.tile(np.arange(6.0), (5, 1)), alpha=0.025, seed=1)
    assert same.low == same.high == same.mean  # seeds do not differ: strata are not drawn anew


def test_few_groups_have_students_interval_and_one_has_none():
    """Three groups of means 1, 2, 6: mean 3, t with 2 degrees of freedom 4.3027, standard error √7 / √3."""
    values = np.repeat([1.0, 2.0, 6.0], 10)
    found = figures.of_groups(values, block=10.0, alpha=0.025)
    reach = 4.302653 * np.sqrt(7.0) / np.sqrt(3.0)
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3.0 - reach, 3.0 + reach), rel=1e-6)
    assert np.isnan(figures.of_groups(values, block=20.0, alpha=0.025).low)
