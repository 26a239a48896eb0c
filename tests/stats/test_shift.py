"""Drift of features: figures of the literature and of scipy, false alarms under persistence, the power to find it."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from bq.stats import shift
from bq.stats.shift import Sample

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
DECILES = stats.norm.ppf(np.arange(1, 10) / 10)


def shares(law: stats.rv_continuous) -> np.ndarray:
    return np.diff(law.cdf([-np.inf, *DECILES, np.inf]))


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        pytest.param(stats.norm(0.1, 1), 0.0095872765, id="shift .1"),
        pytest.param(stats.norm(0.25, 1), 0.0598155818, id="shift .25"),
        pytest.param(stats.norm(0.5, 1), 0.2377492047, id="shift .5"),
        pytest.param(stats.norm(1, 1), 0.9261424243, id="shift 1"),
        pytest.param(stats.norm(0, 1.5), 0.1935430253, id="scale 1.5"),
        pytest.param(stats.norm(0, 2), 0.4907539344, id="scale 2"),
    ],
)
def test_psi_of_normal_laws_on_deciles(law, expected):
    assert shift.psi(np.full(10, 0.1), shares(law)) == pytest.approx(expected, abs=1e-9)


def test_an_empty_bin_counts_as_half_a_row():
    # .5/10 beside 0 of 10: by hand (.5/10 - .5) ln(.1) + (1 - .5) ln 2
    assert shift.psi([5, 5], [0, 10]) == pytest.approx(-0.45 * np.log(0.1) + 0.5 * np.log(2.0))


@settings(max_examples=40)
@given(st.integers(0, 2**31 - 1))
def test_ks_is_scipys_for_ties_missing_values_and_any_sizes(seed):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-3, 6)
    first, second = (
        (scale * rng.standard_t(1, rng.integers(1, 200))).round(rng.integers(-1, 4)).astype(np.float32)
        for _ in range(2)
    )
    holes = second.copy()
    holes[rng.random(len(second)) < 0.2] = np.nan
    known = holes[np.isfinite(holes)]
    found = shift.ks(np.sort(first), holes)
    assert found == pytest.approx(stats.ks_2samp(first, known).statistic, abs=1e-12) if len(known) else np.isnan(found)


def test_ks_of_large_samples_is_scipys_to_the_last_digit():
    rng = np.random.default_rng(8)
    first, second = (rng.standard_normal(100_000).astype(np.float32) for _ in range(2))
    assert shift.ks(np.sort(first), second) == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-12)


def persistent(rng, sessions: int, rows: int, features: int, *, r: float, common: float = 0.7) -> np.ndarray:
    """Stationary features of unit variance, shape (n_sessions * rows, features); rows of a session share a part."""

    def series(*shape: int) -> np.ndarray:
        noise = rng.standard_normal((sessions + 200, *shape)) * np.sqrt(1 - r**2)
        return lfilter([1.0], [1.0, -r], noise, axis=0)[200:]

    own, shared = series(rows, features), series(1, features)
    return (np.sqrt(common) * shared + np.sqrt(1 - common) * own).reshape(-1, features).astype(np.float32)


def sample(x: np.ndarray, rows: int = 1) -> Sample:
    return Sample(x, np.repeat(np.arange(len(x) // rows), rows))


def compared(
    x: np.ndarray, *, window: int, rows: int = 1, by: float = 0.0, seed: int = 0, known: dict | None = None
) -> shift.Shift:
    """The last `window` sessions, moved by `by`, against all that end fifty sessions before."""
    before, now = x[: -(window + 50) * rows], x[-window * rows :] + np.float32(by)
    edges = [np.quantile(column, np.arange(1, 10) / 10).astype(np.float32) for column in before.T]
    found = sample(before, rows), sample(now, rows)
    return shift.compare(*found, edges=edges, least_block=1.0, alpha=0.05, seed=seed, known=known)


def test_what_is_usual_of_a_reference_is_that_of_any_window_of_the_same_length():
    x, known = persistent(np.random.default_rng(17), 300, 1, 3, r=0.5), {}
    for by in (0.0, 0.8, 2.0):
        kept, alone = compared(x, window=30, by=by, known=known), compared(x, window=30, by=by)
        assert all(np.array_equal(*pair) for pair in zip(kept, alone, strict=True))
    assert list(known) == [30] and known[30].psi.shape == (3, shift.DRAWS)
    other = {30: known[30]._replace(psi=known[30].psi + 1.0)}
    assert (compared(x, window=30, known=other).psi_limit > alone.psi_limit + 0.99).all()  # what is known is used


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("r", "window", "rows"),
    [
        pytest.param(0.5, 21, 1, id="AR .5, a month"),
        pytest.param(0.9, 21, 1, id="AR .9, a month"),
        pytest.param(0.9, 21, 10, id="AR .9, a month of ten names"),
        pytest.param(0.9, 250, 1, id="AR .9, a year"),
        pytest.param(0.97, 21, 1, id="AR .97, a month"),
    ],
)
def test_persistent_features_that_do_not_change_alarm_in_at_most_5_of_100_checks(r, window, rows):
    """Estimand: checks of ten features with any rejection at 5 %; truth <= .05; references of 1,000 sessions."""
    rng, checks = np.random.default_rng(11), 400 if FULL else 16
    alarms, rejected = 0, []
    for i in range(checks):
        found = compared(persistent(rng, 1050 + window, rows, 10, r=r), window=window, rows=rows, seed=i)
        alarms += (stats.false_discovery_control(found.p, method="by") <= 0.05).any()
        rejected.append((found.p <= 0.05).mean())
    assert stats.binomtest(alarms, checks, 0.05, alternative="greater").pvalue > 0.025
    assert np.mean(rejected) <= 0.05 + 3 * np.std(rejected) / np.sqrt(checks)


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("r", "least"),
    [
        pytest.param(0.0, 0.9, id="independent"),
        pytest.param(0.5, 0.9, id="AR .5"),
    ],
)
def test_a_shift_of_half_a_deviation_in_500_sessions_is_found(r, least):
    rng, windows = np.random.default_rng(12), 200 if FULL else 12
    found = [
        compared(persistent(rng, 2550, 1, 1, r=r), window=500, by=0.5, seed=i).p[0] <= 0.05 for i in range(windows)
    ]
    assert np.mean(found) >= least


def test_the_textbook_threshold_alarms_under_persistence_where_ours_does_not():
    rng, naive, ours = np.random.default_rng(13), [], []
    for i in range(20):
        x = persistent(rng, 1100, 1, 1, r=0.9)
        naive.append(stats.ks_2samp(x[:1000, 0], x[-50:, 0]).pvalue < 0.05)
        ours.append(compared(x, window=50, seed=i).p[0] < 0.05)
    assert np.mean(naive) >= 0.5
    assert np.mean(ours) <= 0.2


def test_values_that_are_missing_where_none_was_are_drift():
    x = persistent(np.random.default_rng(14), 1071, 20, 2, r=0.5)
    last = x[-21 * 20 :]
    last[::4, 1] = np.nan
    found = compared(x, window=21, rows=20)
    assert found.missing == pytest.approx([0.0, 0.25])
    assert found.p[1] < 0.001 < found.p[0]


def test_a_feature_without_values_is_no_alarm():
    x = persistent(np.random.default_rng(15), 371, 1, 2, r=0.0)
    x[:, 1] = np.nan
    found = compared(x, window=21)
    assert found.p[1] == 1.0
    assert np.isnan(found.ks[1]) and np.isnan(found.distance[1])


def test_blocks_grow_with_persistence_and_never_beyond_the_window():
    rng = np.random.default_rng(16)
    of = {}
    for r in (0.0, 0.5, 0.9):
        x = persistent(rng, 3000, 1, 1, r=r)
        of[r] = compared(x, window=500).block[0]
    assert of[0.0] <= 2 < of[0.5] == 16 < of[0.9] == 128  # 2 r / ((1 - r²) .1) is 13.3 and 94.7
    assert compared(persistent(rng, 3000, 1, 1, r=0.9), window=21).block[0] == 21


def test_the_limit_is_what_unchanged_windows_exceed_at_its_level():
    """Counts of independent rows: PSI is about (1/n + 1/m) chi-square with 9 degrees of freedom, 95 % below .0508."""
    rng = np.random.default_rng(17)
    x = rng.standard_normal((1550, 1)).astype(np.float32)
    found = compared(x, window=500)
    assert found.psi_limit[0] == pytest.approx(stats.chi2.ppf(0.95, 9) * (1 / 500 + 1 / 1000), rel=0.1)


def test_p_values_beyond_the_draws_follow_the_tail_of_their_law():
    usual = stats.chi2(5).rvs(999, random_state=18)
    assert shift.p_value(stats.chi2(5).isf(0.2), usual) == pytest.approx(0.2, abs=0.04)
    assert shift.p_value(stats.chi2(5).isf(1e-5), usual) == pytest.approx(1e-5, rel=3)  # of moments alone
    assert shift.p_value(np.nan, usual) == 1.0


def test_the_same_seed_gives_the_same_answer():
    x = persistent(np.random.default_rng(19), 471, 3, 4, r=0.5)
    first, second = (compared(x, window=21, rows=3, seed=5) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
