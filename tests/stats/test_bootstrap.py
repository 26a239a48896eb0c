"""Bootstrap intervals: against arch, against the truth, and on what is missing."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy.stats import binom, norm, t

from bq.kernels.bootstrap import stationary_means
from bq.stats.bootstrap import bootstrap_mean, bootstrap_means

RULE = {"block": 4.0, "alpha": 0.05, "draws": 2000, "seed": 11}


def autocorrelated(n: int, *, seed: int, phi: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.zeros(n)
    for day in range(1, n):
        values[day] = phi * values[day - 1] + rng.standard_normal()
    return values


def overlapping(n: int, *, horizon: int, series: int, seed: int) -> np.ndarray:
    """Sums of `horizon` independent values, as overlapping labels are; shape (n, series)."""
    total = np.random.default_rng(seed).standard_normal((n + horizon, series)).cumsum(axis=0)
    return total[horizon:] - total[:-horizon]


def plain_bounds(values: np.ndarray, *, block: float, draws: int = 4000) -> np.ndarray:
    means = StationaryBootstrap(block, values, seed=np.random.default_rng(99)).apply(np.mean, draws)
    return np.quantile(means, [0.05, 0.95])


@pytest.mark.parametrize("block", [1.0, 10.0], ids=["rows", "blocks-of-10"])
def test_draws_are_those_of_arch_within_monte_carlo_error(block):
    values = autocorrelated(300, seed=1)
    ours = stationary_means(values[:, None], block, 4000, np.random.default_rng(1))[:, 0]
    theirs = StationaryBootstrap(block, values, seed=np.random.default_rng(99)).apply(np.mean, 4000)[:, 0]
    # three standard errors of the difference of two means, deviations and 5% quantiles (density there: .103 / sd)
    error = 3 * np.sqrt(2 / 4000) * theirs.std()
    assert ours.mean() == pytest.approx(theirs.mean(), abs=error)
    assert ours.std() == pytest.approx(theirs.std(), abs=error / np.sqrt(2))
    tails = np.quantile(theirs, [0.05, 0.95])
    assert np.quantile(ours, [0.05, 0.95]) == pytest.approx(tails, abs=error * np.sqrt(0.05 * 0.95) / 0.103)


def test_draws_with_missing_values_are_those_of_arch():
    values = autocorrelated(300, seed=12)
    values[np.random.default_rng(5).random(300) < 0.4] = np.nan
    ours = stationary_means(values[:, None], 10.0, 4000, np.random.default_rng(1))[:, 0]
    theirs = StationaryBootstrap(10, values, seed=np.random.default_rng(99)).apply(np.nanmean, 4000)[:, 0]
    error = 3 * np.sqrt(2 / 4000) * theirs.std()
    assert ours.mean() == pytest.approx(theirs.mean(), abs=error)
    assert ours.std() == pytest.approx(theirs.std(), abs=error / np.sqrt(2))


def test_a_block_without_end_is_the_whole_series_once_around():
    values = np.random.default_rng(4).standard_normal((37, 1))
    draws = stationary_means(values, 1e12, 200, np.random.default_rng(1))
    assert draws == pytest.approx(np.full((200, 1), values.mean()))


def test_many_blocks_of_independent_rows_leave_the_plain_percentile_bounds():
    values = np.random.default_rng(3).standard_normal(4000)
    ours = bootstrap_mean(values, block=1.0, alpha=0.05, draws=4000, seed=1)
    assert [ours.low, ours.high] == pytest.approx(plain_bounds(values, block=1.0), abs=0.004)  # 6% of the half width


def test_few_blocks_stretch_the_bounds_by_students_quantile_and_the_variance_the_mean_costs():
    # alternating, so that no lag window sees more variance than the bootstrap does
    values = np.tile([1.0, -1.0], 6)
    ours = bootstrap_mean(values, block=1.0, alpha=0.05, draws=4000, seed=1)
    factor = t.ppf(0.95, 11) / norm.ppf(0.95) * np.sqrt(12 / 11)
    assert factor == pytest.approx(1.140, abs=5e-4)
    spread = 12**-0.5  # the bootstrap's deviation of the mean; its distribution is (2 × binomial(12, ½) − 12) / 12
    exact = 1.0 - 2.0 * binom.ppf(0.05, 12, 0.5) / 12
    assert spread < exact < 2 * spread
    # the draws know the variance to 2%
    assert [ours.low, ours.high] == pytest.approx([-factor * exact, factor * exact], rel=0.02)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = autocorrelated(100, seed=2)
    assert bootstrap_mean(values, **RULE) == bootstrap_mean(values.copy(), **RULE)
    assert bootstrap_mean(values, **RULE).low != bootstrap_mean(values, **{**RULE, "seed": 12}).low


def test_columns_are_resampled_together_and_as_if_alone():
    values = np.column_stack([autocorrelated(100, seed=3), autocorrelated(100, seed=4)])
    together = bootstrap_means(values, **RULE)
    for i, interval in enumerate(together):
        assert interval == pytest.approx(bootstrap_mean(values[:, i], **RULE))


def test_a_shift_moves_the_interval_and_a_scale_widens_it():
    values = autocorrelated(100, seed=5)
    plain, moved = bootstrap_mean(values, **RULE), bootstrap_mean(10.0 + 3.0 * values, **RULE)
    assert moved[:3] == pytest.approx([10.0 + 3.0 * x for x in plain[:3]])


def test_missing_sessions_are_left_out_of_their_column_only():
    values = np.column_stack([autocorrelated(100, seed=6), autocorrelated(100, seed=7)])
    holes = values.copy()
    holes[::3, 1] = np.nan
    whole, gappy = bootstrap_means(holes, **RULE)
    assert whole == pytest.approx(bootstrap_mean(values[:, 0], **RULE))
    assert gappy.mean == pytest.approx(np.nanmean(holes[:, 1]))
    assert (gappy.n, gappy.blocks) == (66, 66 / 4.0)
    assert gappy.low < gappy.mean < gappy.high


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("values", "mean", "n"),
    [
        pytest.param([], np.nan, 0, id="no-session"),
        pytest.param([np.nan] * 5, np.nan, 0, id="never-known"),
        pytest.param([3.0], 3.0, 1, id="one-session"),
        pytest.param([np.nan, 3.0, np.nan], 3.0, 1, id="one-known-session"),
        pytest.param(list(range(1, 20)), 10.0, 19, id="not-quite-five-blocks"),
    ],
)
def test_fewer_than_five_blocks_have_no_interval(values, mean, n):
    found = bootstrap_mean(np.array(values, float), **RULE)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([found.low, found.high]).all()
    assert found.n == n


def test_a_column_without_values_does_not_disturb_the_others():
    values = autocorrelated(50, seed=8)
    first, second = bootstrap_means(np.column_stack([values, np.full(50, np.nan)]), **RULE)
    assert first == pytest.approx(bootstrap_mean(values, **RULE))
    assert (np.isnan(second.mean), second.n, second.blocks) == (True, 0, 0.0)


def test_the_fewer_blocks_the_wider_the_interval():
    values = autocorrelated(60, seed=13)
    wide, narrow = (bootstrap_mean(values, **{**RULE, "block": block}) for block in (12.0, 2.0))
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


@pytest.mark.parametrize(("block", "blocks"), [(0.2, 60.0), (7.5, 8.0), (500.0, 1.0)], ids=str)
def test_evidence_is_counted_in_blocks_of_at_least_one_and_at_most_all_sessions(block, blocks):
    found = bootstrap_mean(autocorrelated(60, seed=9), **{**RULE, "block": block})
    assert found.blocks == pytest.approx(blocks)


def test_dependence_widens_the_interval_of_longer_blocks():
    values = autocorrelated(400, seed=10, phi=0.8)
    short, long = (bootstrap_mean(values, **{**RULE, "block": block}) for block in (1.0, 20.0))
    assert long.high - long.low > 1.5 * (short.high - short.low)


@pytest.mark.parametrize(
    ("series", "block"),
    [
        pytest.param(lambda n: np.random.default_rng(2024).standard_normal((n, 800)), 1.0, id="independent"),
        pytest.param(lambda n: overlapping(n, horizon=10, series=800, seed=2025), 15.0, id="overlap-of-10"),
    ],
)
@pytest.mark.parametrize("blocks", [20, 40], ids="{}-blocks".format)
def test_a_bound_fails_as_often_as_it_says(series, block, blocks):
    """800 series of mean zero: the lower bounds of 2.5% above it, and the upper ones below it, stay within the 99.9%
    band of the binomial. Without the stretch 4 to 6% of the bounds of overlapping labels fail.
    """
    values = series(int(blocks * block))
    intervals = bootstrap_means(values, block=block, alpha=0.025, draws=600, seed=blocks)
    missed = [sum(i.low > 0.0 for i in intervals), sum(i.high < 0.0 for i in intervals)]
    low, high = binom.interval(0.999, 2 * len(intervals), 0.025)
    assert low <= sum(missed) <= high


def test_plain_percentile_bounds_of_overlapping_labels_fail_more_often_than_they_say():
    values = overlapping(300, horizon=10, series=800, seed=2026)
    plain = np.quantile(stationary_means(values, 15.0, 600, np.random.default_rng(1)), [0.025, 0.975], axis=0)
    missed = (plain[0] > 0.0).sum() + (plain[1] < 0.0).sum()
    assert missed > binom.ppf(0.999, 1600, 0.025)


def test_an_interval_reads_as_mean_and_bounds():
    assert str(bootstrap_mean([1.0] * 20, **RULE)) == "+1.000 [+1.000, +1.000]"
    assert str(bootstrap_mean([1.0] * 3, **RULE)) == "+1.000 [no interval]"
