"""Falls below the highest point so far: of sums against hand calculation, of wealth against skfolio."""

import numpy as np
import polars as pl
import pytest
from arch.bootstrap import StationaryBootstrap
from skfolio.measures import get_drawdowns, max_drawdown

from bq.stats import drawdown
from bq.stats.blocks import Blocks


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1.0, -3.0, 1.0], 3.0, id="below-the-highest"),
        pytest.param([-2.0, 5.0], 2.0, id="below-the-start"),
        pytest.param([1.0, 2.0], 0.0, id="never-fallen"),
        pytest.param([4.0, None, -1.0, None, -1.0], 2.0, id="a-null-adds-nothing"),
        pytest.param([], 0.0, id="empty"),
    ],
)
def test_the_fall_of_a_sum_is_in_its_unit_and_starts_at_zero(values, expected):
    assert drawdown.maximum_of_sum(pl.Series(values, dtype=pl.Float64)) == expected


def test_the_fall_of_wealth_is_the_share_lost_by_skfolio():
    returns = np.random.default_rng(1).normal(0.0, 0.03, 500)
    expected = max_drawdown(get_drawdowns(returns, compounded=True))
    assert drawdown.maximum_of_wealth(drawdown.compounded(returns)) == pytest.approx(expected, rel=1e-12)
    assert drawdown.maximum_of_wealth(1e6 * drawdown.compounded(returns)) == pytest.approx(expected, rel=1e-12)


def test_a_fall_from_the_start_counts_where_wealth_is_compounded():
    assert drawdown.compounded([-0.25, 1.0]).tolist() == [1.0, 0.75, 1.5]
    assert drawdown.maximum_of_wealth(drawdown.compounded([-0.25, 1.0])) == 0.25


@pytest.mark.parametrize("levels", [[np.nan, 2.0, 1.0], [2.0, np.nan, 1.0]], ids=["first", "between"])
def test_a_fall_through_a_level_that_is_not_known_is_not_known(levels):
    assert np.isnan(drawdown.maximum_of_wealth(levels))


def test_the_two_conventions_differ_on_the_same_returns():
    returns = [1.0, -0.5, -0.5]
    assert drawdown.maximum_of_sum(pl.Series(returns)) == 1.0  # of the fixed capital
    assert drawdown.maximum_of_wealth(drawdown.compounded(returns)) == 0.75  # from 2 to 0.5


def test_distances_are_negative_and_leave_gaps():
    frame = pl.DataFrame({"total": [-1.0, None, 2.0, 1.5], "level": [2.0, 4.0, None, 3.0]})
    found = frame.select(drawdown.below_peak_of_sum(pl.col("total")), drawdown.below_peak_of_wealth(pl.col("level")))
    assert found["total"].to_list() == [-1.0, None, 0.0, -0.5]
    assert found["level"].to_list() == [0.0, 0.0, None, -0.25]


def test_the_share_of_histories_with_no_larger_drawdown_is_archs():
    ours, theirs = np.random.default_rng(3).normal(0.02, [1.2, 1.0], (400, 2)).T

    def no_larger(a, b):
        mine, other = (drawdown.maximum_of_sum(pl.Series(one)) for one in (a, b))
        return np.array([mine <= other])

    drawn = StationaryBootstrap(8, ours, theirs, seed=np.random.default_rng(0)).apply(no_larger, 2000).mean()
    found = drawdown.share_no_larger(ours, theirs, Blocks(block=8.0, alpha=0.05, draws=2000, seed=1))
    assert 0.05 < found < 0.6
    assert found == pytest.approx(drawn, abs=4.5 * (2 * 0.25 / 2000) ** 0.5)  # of 1 in 100,000


def test_a_larger_drawdown_of_the_same_law_is_seldom_proven_and_that_of_twice_the_stake_always():
    """Sixty pairs of one law: 1 in 40 is expected below a twentieth, more than 7 in 1 of 1,000 such tests."""
    rng, blocks = np.random.default_rng(0), Blocks(block=15.0, alpha=0.05, draws=400, seed=0)
    pairs = rng.standard_t(4, (60, 2, 600))
    larger = [pair for pair in pairs if np.divide(*[drawdown.maximum_of_sum(pl.Series(one)) for one in pair]) > 1.5]
    assert len(larger) >= 8
    assert sum(drawdown.share_no_larger(*pair, blocks) < 0.05 for pair in larger) <= 7
    assert drawdown.share_no_larger(2.0 * pairs[0, 0], pairs[0, 0], blocks) == 0.0
