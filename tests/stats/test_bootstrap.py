"""Bootstrap intervals: against arch, against the truth, and on what is missing."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy.stats import binom

from bq.stats.bootstrap import bootstrap_mean, bootstrap_means

RULE = {"block": 4.0, "alpha": 0.05, "draws": 2000, "seed": 11}


def autocorrelated(n: int, *, seed: int, phi: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.zeros(n)
    for t in range(1, n):
        values[t] = phi * values[t - 1] + rng.standard_normal()
    return values


def test_bounds_agree_with_arch_within_monte_carlo_error():
    values = autocorrelated(300, seed=1)
    ours = bootstrap_mean(values, block=10.0, alpha=0.05, draws=4000, seed=1)
    means = StationaryBootstrap(10, values, seed=np.random.default_rng(99)).apply(np.mean, 4000)
    assert ours.mean == pytest.approx(values.mean())
    error = 3 * means.std() * np.sqrt(0.05 * 0.95 / 4000) / 0.103  # of a quantile; normal density at 5%: .103 / sd
    assert [ours.low, ours.high] == pytest.approx(np.quantile(means, [0.05, 0.95]), abs=np.sqrt(2) * error)


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
    ],
)
def test_fewer_than_two_values_have_no_interval(values, mean, n):
    found = bootstrap_mean(np.array(values, float), **RULE)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([found.low, found.high]).all()
    assert found.n == n


def test_a_column_without_values_does_not_disturb_the_others():
    values = autocorrelated(50, seed=8)
    first, second = bootstrap_means(np.column_stack([values, np.full(50, np.nan)]), **RULE)
    assert first == pytest.approx(bootstrap_mean(values, **RULE))
    assert (np.isnan(second.mean), second.n, second.blocks) == (True, 0, 0.0)


@pytest.mark.parametrize(("block", "blocks"), [(0.2, 60.0), (7.5, 8.0), (500.0, 1.0)], ids=str)
def test_evidence_is_counted_in_blocks_of_at_least_one_and_at_most_all_sessions(block, blocks):
    found = bootstrap_mean(autocorrelated(60, seed=9), **{**RULE, "block": block})
    assert found.blocks == pytest.approx(blocks)


def test_dependence_widens_the_interval_of_longer_blocks():
    values = autocorrelated(400, seed=10, phi=0.8)
    short, long = (bootstrap_mean(values, **{**RULE, "block": block}) for block in (1.0, 20.0))
    assert long.high - long.low > 1.5 * (short.high - short.low)


def test_the_interval_covers_the_mean_of_independent_data_as_often_as_it_says():
    """100 series of 80 draws: misses of a 90% interval stay in the central 99.9% of the binomial at its 10.6%.

    A percentile interval of 80 rows is narrower than it says by √(79/80) and by normal instead of t quantiles.
    """
    series = np.random.default_rng(2024).standard_normal((100, 80))
    intervals = [bootstrap_mean(row, block=1.0, alpha=0.05, draws=500, seed=s) for s, row in enumerate(series)]
    missed = sum(not interval.low <= 0.0 <= interval.high for interval in intervals)
    low, high = binom.interval(0.999, 100, 0.106)
    assert low <= missed <= high


def test_an_interval_reads_as_mean_and_bounds():
    assert str(bootstrap_mean([1.0, 1.0, 1.0], **RULE)) == "+1.000 [+1.000, +1.000]"
