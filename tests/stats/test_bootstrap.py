"""Bootstrap intervals: against arch, against the truth, and on what is missing."""

import os

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy.stats import binom, norm, ttest_1samp

from bq.kernels.bootstrap import stationary_means
from bq.stats.bootstrap import bootstrap_mean, bootstrap_means

RULE = {"block": 4.0, "alpha": 0.05, "draws": 2000, "seed": 11}
FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it


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


def seldom(
    sessions: int, *, share: float, skew: int, series: int, seed: int, hold: int = 17, memory: float = 0.95
) -> np.ndarray:
    """Results of mean 0 of policies that trade in a share of the sessions, in spells; shape (sessions, series).

    One to four trades a session, each held for `hold` sessions, half of its variance common to all that are open.
    skew 1: a stop at -1 and an exponential tail of gains, as in multiples of a breakout's risk; -1: the opposite;
    0: normal.
    """
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal((sessions + 200, series))
    state = np.zeros_like(shocks)
    for row in range(1, len(state)):
        state[row] = memory * state[row - 1] + np.sqrt(1.0 - memory**2) * shocks[row]
    active = state[200:] < norm.ppf(share)
    trades = np.where(active, rng.integers(1, 5, active.shape), 0)
    common = overlapping(sessions, horizon=hold, series=series, seed=seed + 1) / np.sqrt(hold)
    total = np.zeros((sessions, series))
    for number in range(1, 5):
        shock = np.sqrt(0.5) * (common + rng.standard_normal((sessions, series)))
        total += np.where(trades >= number, _outcome(shock, skew), 0.0)
    return total / 4.0


def _outcome(shock: np.ndarray, skew: int) -> np.ndarray:
    """Mean 0 whatever the skew: 62% lose 1, the gains of the others have an exponential law of mean .62 / .38."""
    if not skew:
        return shock
    above = np.clip(1.0 - norm.cdf(shock), 1e-12, 1.0)
    return skew * np.where(above > 0.38, -1.0, -np.log(above / 0.38) * 0.62 / 0.38)


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


@pytest.mark.parametrize("n", [6, 12, 60])
def test_of_independent_rows_it_is_students_interval(n):
    values = np.random.default_rng(n).exponential(size=n)
    ours = bootstrap_mean(values, block=1.0, alpha=0.05, draws=20_000, seed=1)
    exact = ttest_1samp(values, 0.0).confidence_interval(0.90)
    # the draws know the standard error to half a percent
    assert [ours.mean - ours.low, ours.high - ours.mean] == pytest.approx([values.mean() - exact.low] * 2, rel=0.02)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = autocorrelated(100, seed=2, phi=-0.5)  # no lag window sees more variance than the draws do
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
    band of the binomial. Of plain percentile bounds of overlapping labels 4 to 6% fail.
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


def test_where_trades_are_few_the_interval_holds_as_often_as_it_says_and_percentiles_do_not():
    """800 policies that trade in 3 sessions of 10, of mean 0, on 33 blocks; the 99% band of the binomial.

    The percentiles are stretched to the width of the interval, so that nothing but their lean is compared.
    """
    block, values = 25.5, seldom(840, share=0.3, skew=1, series=800, seed=20261129)
    intervals = bootstrap_means(values, block=block, alpha=0.025, draws=600, seed=1)
    low, high = np.array([[i.low, i.high] for i in intervals]).T
    ours = (low > 0.0) | (high < 0.0)
    draws = stationary_means(values - values.mean(axis=0), block, 600, np.random.default_rng(1))
    stretch = (high - low) / np.ptp(np.quantile(draws, [0.025, 0.975], axis=0), axis=0)
    leaning = values.mean(axis=0) + np.quantile(draws, [0.025, 0.975], axis=0) * stretch
    theirs = (leaning[0] > 0.0) | (leaning[1] < 0.0)
    least, most = binom.interval(0.99, len(ours), 0.05)
    assert least <= ours.sum() <= most
    only_ours, only_theirs = (ours & ~theirs).sum(), (theirs & ~ours).sum()
    assert binom.sf(only_theirs - 1, only_ours + only_theirs, 0.5) < 0.001


@pytest.mark.calibration
@pytest.mark.parametrize("skew", [1, -1, 0], ids=["long-gains", "long-losses", "symmetric"])
@pytest.mark.parametrize(("sessions", "share"), [(840, 0.3), (840, 0.1), (420, 0.3), (2500, 0.3)], ids=str)
def test_intervals_of_policies_that_trade_seldom_hold(sessions, share, skew):
    """Of intervals of 95% at least 92% hold, whatever the skew; of one-sided bounds of 2.5% no more than 6% fail.

    Skewed outcomes cost one side what they give to the other: the gate's low bound errs more often where losses have
    the longer tail. Full form: 4,000 series of each kind.
    """
    values = seldom(sessions, share=share, skew=skew, series=4000 if FULL else 250, seed=7)
    intervals = bootstrap_means(values, block=25.5, alpha=0.025, draws=400, seed=1)
    above, below = sum(i.low > 0.0 for i in intervals), sum(i.high < 0.0 for i in intervals)
    n = len(intervals)
    assert above + below <= binom.ppf(0.995, n, 0.08)
    assert max(above, below) <= binom.ppf(0.995, n, 0.06)


def test_an_interval_reads_as_mean_and_bounds():
    assert str(bootstrap_mean([1.0] * 20, **RULE)) == "+1.000 [+1.000, +1.000]"
    assert str(bootstrap_mean([1.0] * 3, **RULE)) == "+1.000 [no interval]"
