"""Selection by rolling rank IC and the search for lags, on labels whose law is known."""

import numpy as np
import pytest
from scipy.stats import binom, spearmanr
from toy_strategy import toy_learning, toy_times

from bq.core.settings import Selection
from bq.learning.sample import Preparation, Sample, overlap
from bq.learning.selection import choose_lags, lag_variants, select, session_ranks

SESSIONS, NAMES = 120, 25


def panel(strengths, *, sessions=SESSIONS, names=NAMES, seed=0):
    """Features of noise; the label is their weighted sum and more noise: x, label, session."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((sessions * names, len(strengths)))
    label = x @ np.array(strengths) + rng.standard_normal(len(x))
    return x, label, np.repeat(np.arange(sessions), names)


def test_ic_is_scipys_rank_correlation_of_each_session_whatever_is_missing():
    x, label, session = panel([0.3, 0.0, -0.2], sessions=30)
    rng = np.random.default_rng(1)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 1] = np.round(x[:, 1])  # ties
    label[rng.random(len(label)) < 0.1] = np.nan
    shuffled = rng.permutation(len(x))
    found = session_ranks(x[shuffled], label[shuffled], session[shuffled])
    expected = [
        [spearmanr(x[rows, j], label[rows], nan_policy="omit").statistic for j in range(3)]
        for rows in (session == day for day in range(30))
    ]
    np.testing.assert_allclose(found.ic, expected, atol=1e-5)


def test_the_strongest_come_first_whatever_their_sign():
    x, label, session = panel([0.0, -0.4, 0.0, 0.2, 0.0])
    assert select(x, label, session, Selection())[:2].tolist() == [1, 3]


def test_at_most_twenty_are_chosen_and_twelve_of_a_small_sample():
    x, label, session = panel([0.1] * 30)
    assert len(select(x, label, session, Selection())) == 20
    few = slice(0, 299 // NAMES * NAMES)
    assert len(select(x[few], label[few], session[few], Selection())) == 12


def test_open_events_are_left_out_of_the_count():
    x, label, session = panel([0.1] * 30)
    label[290:] = np.nan
    assert len(select(x, label, session, Selection())) == 12


def test_what_hardly_varies_within_a_session_is_never_chosen():
    x, label, session = panel([0.1, 0.1, 0.1])
    x[:, 1] = session  # the same for all of a session, as a regime is
    x[:, 2] = np.nan
    assert select(x, label, session, Selection()).tolist() == [0]
    x[:, 2] = 0.0
    x[0, 2] = 1.0  # one event of three thousand
    assert select(x, label, session, Selection()).tolist() == [0]


def test_of_two_that_say_the_same_the_one_that_ranks_first_stays():
    x, label, session = panel([0.3, 0.0, 0.1])
    x[:, 1] = np.exp(x[:, 0]) + 0.2 * np.random.default_rng(3).standard_normal(len(x))
    everything = select(x, label, session, Selection(max_correlation=1.0)).tolist()
    second = max((0, 1), key=everything.index)
    assert select(x, label, session, Selection(max_correlation=0.9)).tolist() == [
        column for column in everything if column != second
    ]
    assert sorted(everything) == [0, 1, 2]


def test_the_order_of_rows_and_increasing_transforms_change_nothing():
    x, label, session = panel([0.2, 0.1, 0.0, -0.1])
    order = np.random.default_rng(2).permutation(len(x))
    expected = select(x, label, session, Selection())
    np.testing.assert_array_equal(select(x[order], label[order], session[order], Selection()), expected)
    np.testing.assert_array_equal(select(np.exp(x), label, session, Selection()), expected)


def test_a_feature_that_is_good_all_the_time_comes_before_one_that_was_good_once():
    """Equal mean IC; the second earns it in one of four windows."""
    x, label, session = panel([0.0, 0.0], sessions=252, names=60)
    rng = np.random.default_rng(5)
    burst = session < 63
    label = 0.15 * x[:, 0] + np.where(burst, 0.75, 0.0) * x[:, 1] + rng.standard_normal(len(label))
    assert np.abs(np.diff(np.nanmean(session_ranks(x, label, session).ic, axis=0))) < 0.03
    assert select(x, label, session, Selection())[0] == 0


def lagged(strength_of_lag, *, sessions=400, names=40, seed=0):
    """Columns: a feature, its values of 1, 2 and 5 sessions before, another feature. The label follows the lag of 2."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((sessions + 5, names))
    columns = [values[5 - lag : 5 - lag + sessions] for lag in (0, 1, 2, 5)]
    label = strength_of_lag * columns[2] + rng.standard_normal((sessions, names))
    x = np.stack([*columns, rng.standard_normal((sessions, names))], axis=-1).reshape(-1, 5)
    return x, label.ravel(), np.repeat(np.arange(sessions), names)


VARIANTS = {0: [1, 2, 3]}


def test_a_lag_that_says_more_out_of_sample_replaces_the_newest_value():
    x, label, session = lagged(-0.15)
    stays = choose_lags(x, label, session, VARIANTS, Selection(), horizon=10, seed=1)
    assert stays.tolist() == [2, 4]


def test_a_fold_trains_on_the_lag_that_stays_and_on_no_other_of_its_feature():
    """Names tell lags apart, and the labels' overlap is that of the training events."""
    x, label, _ = lagged(-0.15)
    days = toy_times(len(x), every=NAMES)
    ones = np.ones(len(x), np.float32)
    names = ("beta", "beta_lag1", "beta_lag2", "beta_lag5", "size")
    sample = Sample(x.astype(np.float32), label, label, ones, ones.astype(np.int64), ones, days, names)
    chosen = Preparation.of(sample, toy_learning(select=Selection())).columns
    assert 2 in chosen and not {0, 1, 3} & set(chosen.tolist())
    unnamed = Preparation.of(sample._replace(names=()), toy_learning(select=Selection())).columns
    assert len({0, 1, 3} & set(unnamed.tolist())) > 0


def test_overlap_is_the_sessions_that_a_label_spans():
    assert overlap(toy_times(200, every=4)) == 1  # weekly sessions, labels of a week


def test_lags_of_noise_are_not_adopted():
    """At most as many of forty as 5% each allow with 99%."""
    adopted = sum(
        choose_lags(*lagged(0.0, seed=seed), VARIANTS, Selection(), horizon=10, seed=1).tolist() != [0, 4]
        for seed in range(40)
    )
    assert adopted <= binom.ppf(0.99, 40, 0.05)


def test_a_gain_that_is_too_small_changes_nothing():
    x, label, session = lagged(0.3)
    demanding = Selection(lag_gain=0.5)
    assert choose_lags(x, label, session, VARIANTS, demanding, horizon=10, seed=1).tolist() == [0, 4]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], {}),
        (["a_lag1", "a", "b", "a_lag5"], {1: [0, 3]}),
        (["a_lag1"], {}),
        (["a_lagging", "a"], {}),
    ],
    ids=["none", "two-of-one", "without-the-newest", "another-name"],
)
def test_lags_are_told_by_their_names(names, expected):
    assert lag_variants(names) == expected
