"""Overfitting: against the definition written out, on constructed trials, on noise."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from bq.core.errors import BadData, BadParameters
from bq.stats.overfitting import backtest_overfitting, effective_trials, expected_best


def written_out(returns: np.ndarray, blocks: int) -> float:
    """The definition of Bailey, Borwein, López de Prado & Zhu 2017, one division after the other."""
    pieces = np.array_split(returns, blocks)
    logits = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([pieces[i] for i in chosen])
        outside = np.concatenate([pieces[i] for i in range(blocks) if i not in chosen])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0))
        rank = rankdata(outside.mean(axis=0) / outside.std(axis=0))[best] / (returns.shape[1] + 1)
        logits.append(math.log(rank / (1 - rank)))
    return float(np.mean(np.array(logits) <= 0))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    trials=st.integers(2, 9),
    blocks=st.sampled_from([2, 4, 6, 8]),
    sessions=st.integers(2, 6),
)
def test_overfitting_is_the_definition_written_out(seed, trials, blocks, sessions):
    returns = np.random.default_rng(seed).standard_normal((blocks * sessions, trials)) + 0.1
    assert backtest_overfitting(returns, blocks=blocks) == pytest.approx(written_out(returns, blocks))


def test_the_trial_that_is_best_everywhere_is_no_overfitting():
    returns = np.random.default_rng(1).standard_normal((400, 20))
    returns[:, 7] += 3.0
    assert backtest_overfitting(returns, blocks=8) == 0.0


def test_trials_that_win_in_one_half_and_lose_in_the_other_are_nothing_but_overfitting():
    random = np.random.default_rng(2)
    early = np.repeat([5.0, -5.0], 100)[:, None]
    returns = random.standard_normal((200, 4)) + early * [1, -1, 1, -1]
    assert backtest_overfitting(returns, blocks=2) == 1.0


def test_overfitting_of_noise_averages_about_a_half_and_is_seldom_below_a_fifth():
    """100 sets of 30 trials without skill: the mean lies within four standard errors of a half (deviation .2)."""
    random = np.random.default_rng(3)
    found = np.array([backtest_overfitting(random.standard_normal((250, 30)), blocks=8) for _ in range(100)])
    assert found.mean() == pytest.approx(0.5, abs=4 * 0.2 / 10)
    assert (found < 0.2).mean() < 0.2
    assert (found < 0.5).mean() > 0.25  # which is why "below a half" proves nothing


def test_units_and_a_trial_that_never_trades_change_nothing():
    returns = np.random.default_rng(4).standard_normal((120, 6)) + 0.2
    plain = backtest_overfitting(returns, blocks=6)
    assert backtest_overfitting(returns * [1e-4, 1, 10, 100, 1e4, 1e6], blocks=6) == plain
    idle = np.column_stack([returns, np.zeros(120)])
    assert 0.0 <= backtest_overfitting(idle, blocks=6) <= 1.0


@pytest.mark.parametrize(
    ("shape", "blocks", "error", "message"),
    [
        pytest.param((100, 5), 7, BadParameters, "blocks must be even", id="odd"),
        pytest.param((100, 1), 4, BadData, "two or more trials", id="one-trial"),
        pytest.param((15, 5), 8, BadData, "at least 16 sessions", id="too-short"),
    ],
)
def test_what_cannot_be_divided_is_refused(shape, blocks, error, message):
    with pytest.raises(error, match=message):
        backtest_overfitting(np.random.default_rng(5).standard_normal(shape), blocks=blocks)


def test_gaps_are_refused():
    returns = np.random.default_rng(6).standard_normal((40, 3))
    returns[3, 1] = np.nan
    for call in (backtest_overfitting, effective_trials, expected_best):
        with pytest.raises(BadData, match="without gaps"):
            call(returns)


def clusters(sizes: list[int], *, correlation: float, sessions: int = 500, seed: int = 7) -> np.ndarray:
    random = np.random.default_rng(seed)
    common = np.repeat(random.standard_normal((sessions, len(sizes))), sizes, axis=1)
    own = random.standard_normal(common.shape)
    return math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own


@pytest.mark.parametrize(
    ("sizes", "correlation", "number"),
    [
        pytest.param([10] * 5, 0.97, 5, id="five-of-ten"),
        pytest.param([1, 30, 2, 7], 0.97, 4, id="unequal"),
        pytest.param([40], 0.97, 1, id="all-the-same"),
        pytest.param([1] * 40, 0.97, 40, id="all-different"),
        pytest.param([40], 0.5, 40, id="loosely-related-count-each"),
    ],
)
def test_trials_are_counted_by_clusters(sizes, correlation, number):
    assert effective_trials(clusters(sizes, correlation=correlation)).number == number


def test_spread_is_that_of_the_clusters_and_free_of_units():
    returns = clusters([10] * 4, correlation=0.98) + np.repeat([0.0, 0.1, 0.2, 0.3], 10)
    found = effective_trials(returns)
    shown = [returns[:, i : i + 10].mean(axis=1) for i in range(0, 40, 10)]
    assert found.spread_per_period == pytest.approx(np.std([x.mean() / x.std() for x in shown], ddof=1), rel=0.01)
    assert effective_trials(returns * np.geomspace(1e-3, 1e3, 40)) == pytest.approx(found)


@pytest.mark.parametrize("idle", [0, 1], ids=["one-trial", "and-one-that-never-trades"])
def test_a_single_trial_has_no_spread(idle):
    returns = np.hstack([np.random.default_rng(8).standard_normal((50, 1)), np.zeros((50, idle))])
    assert effective_trials(returns) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("number", "mean"),
    # expected maximum of standard normal values, Teichroew 1956, doi:10.1214/aoms/1177728266
    [(2, 0.56419), (5, 1.16296), (10, 1.53875), (20, 1.86748)],
    ids=str,
)
@pytest.mark.parametrize("correlation", [0.0, 0.8, 0.99], ids=str)
def test_the_best_of_equally_correlated_trials_shows_what_the_tables_say(number, mean, correlation):
    """√(1 − ρ) of the table's value in standard errors 1/√n; 3 errors of 1,000 draws and of the correlations."""
    returns = clusters([number], correlation=correlation, sessions=2000)
    expected = math.sqrt((1 - correlation) / 2000) * mean
    assert expected_best(returns) == pytest.approx(expected, rel=0.07)


def test_copies_units_and_what_never_varies_do_not_change_the_best():
    returns = clusters([1, 1, 1], correlation=0.5)
    plain = expected_best(returns)
    more = np.column_stack([returns, 1e-3 * returns, np.repeat(returns[:, :1], 50, axis=1), np.zeros((500, 2))])
    assert expected_best(more) == pytest.approx(plain)
    assert expected_best(returns[:, :1]) == 0.0
    assert expected_best(np.repeat(returns[:, :1], 200, axis=1)) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), sessions=st.integers(2, 60), sizes=st.lists(st.integers(1, 4), min_size=1))
def test_a_further_trial_never_lowers_the_best(seed, sessions, sizes):
    returns = clusters(sizes, correlation=0.9, sessions=sessions, seed=seed)
    found = [expected_best(returns[:, : i + 1]) for i in range(returns.shape[1])]
    assert all(after >= before - 1e-12 for before, after in itertools.pairwise(found))
