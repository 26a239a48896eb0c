"""Correlations of features with outcomes, against scipy and against markets without skill."""

import os

import numpy as np
import pytest
from planted_leaks import memory
from scipy import stats

from bq.audit.association import SURE, Outcomes, between, shifted, shuffled, within
from bq.audit.figures import SHIFTS
from bq.audit.leaks import PLAUSIBLE, _too_good

FULL = bool(os.environ.get("BQ_FULL"))
SESSIONS, NAMES, SPAN = 400, 10, 10


def outcomes(rng, *, common: float = 0.5, sessions: int = SESSIONS) -> Outcomes:
    """Overlapping sums of independent moves that share a common part."""
    moves = common * rng.standard_normal((sessions + SPAN, 1)) + rng.standard_normal((sessions + SPAN, NAMES))
    summed = np.array([moves[t + 1 : t + 1 + SPAN].sum(axis=0) for t in range(sessions)])
    return Outcomes(np.repeat(np.arange(sessions), NAMES), summed.ravel(), SPAN)


def test_between_is_the_correlation_of_mean_ranks():
    rng = np.random.default_rng(1)
    known = outcomes(rng)
    x = rng.standard_normal(len(known.outcome))
    ranks = [stats.rankdata(values).reshape(SESSIONS, NAMES).mean(axis=1) for values in (x, known.outcome)]
    assert between(x, known).value == pytest.approx(stats.pearsonr(*ranks).statistic)


def test_within_is_the_correlation_of_ranks_less_their_session_means():
    rng = np.random.default_rng(2)
    known = outcomes(rng)
    x = rng.standard_normal(len(known.outcome)) + 0.1 * known.outcome
    ranks = [stats.rankdata(values).reshape(SESSIONS, NAMES) for values in (x, known.outcome)]
    left = [(values - values.mean(axis=1, keepdims=True)).ravel() for values in ranks]
    assert within(x, known).value == pytest.approx(stats.pearsonr(*left).statistic)


def test_missing_values_are_left_out():
    rng = np.random.default_rng(3)
    known = outcomes(rng)
    x = rng.standard_normal(len(known.outcome))
    gone = rng.random(len(x)) < 0.2
    kept = Outcomes(known.session[~gone], known.outcome[~gone], SPAN)
    assert within(np.where(gone, np.nan, x), known).value == pytest.approx(within(x[~gone], kept).value)


@pytest.mark.parametrize(
    "x", [np.full(SESSIONS * NAMES, np.nan), np.ones(SESSIONS * NAMES), np.repeat(np.arange(SESSIONS), NAMES) * 1.0]
)
def test_there_is_no_figure_where_nothing_varies_within_a_session(x):
    found = within(x, outcomes(np.random.default_rng(4)))
    assert np.isnan(found.value) and not found.surely > 0


@pytest.mark.parametrize("seed", [5, 6])
def test_outcomes_permuted_within_sessions_leave_what_is_known_of_sessions_alone(seed):
    rng = np.random.default_rng(seed)
    known = outcomes(rng, common=1.0)
    table = known.outcome.reshape(SESSIONS, NAMES)
    own = (table - table.mean(axis=1, keepdims=True)).ravel()
    whole = np.repeat(table.mean(axis=1), NAMES)
    none = shuffled(own, known, seed=seed)
    assert within(own, known).value > 0.9 and abs(none.value) < 0.05
    assert shuffled(whole, known, seed=seed).value > 0.5


def test_a_label_falls_when_it_is_shifted_and_a_look_back_rises():
    rng = np.random.default_rng(7)
    moves = rng.standard_normal((SESSIONS + 2 * SPAN, NAMES))
    ahead = np.array([moves[t + 1 : t + 1 + SPAN].sum(axis=0) for t in range(SESSIONS)])
    back = np.array([moves[max(t - 4, 0) : t + 1].sum(axis=0) for t in range(SESSIONS + 5)])
    known = Outcomes(np.repeat(np.arange(SESSIONS), NAMES), ahead.ravel(), SPAN)
    leak = ahead + rng.standard_normal(ahead.shape)
    later = np.vstack([leak[5:], np.full((5, NAMES), np.nan)])
    fallen = shifted(leak.ravel(), later.ravel(), known, groups=False)
    risen = shifted(back[:SESSIONS].ravel(), back[5:].ravel(), known, groups=False)
    assert fallen.worse and fallen.value == pytest.approx(0.5, abs=0.07)  # half of the label's sessions are shared
    assert not risen.worse and risen.value > 0.5


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("noise", "of_session", "least"),
    [
        pytest.param(1.0, False, 1.0, id="a label under as much noise"),
        pytest.param(2.0, False, 0.95, id="a label under twice as much"),
        pytest.param(1.0, True, 0.95, id="the session's mean under as much"),
    ],
)
def test_an_outcome_under_noise_is_found(noise, of_session, least):
    """Estimand: share of leaks that are accused; truth: all are leaks; 5 (40) independent markets of 10 names and 128
    independent labels each; noise in standard deviations of an outcome."""
    found = []
    for seed in range(40 if FULL else 5):
        rng = np.random.default_rng(seed)
        known = outcomes(rng, sessions=1285)
        table = known.outcome.reshape(-1, NAMES)
        held = np.repeat(table.mean(axis=1, keepdims=True), NAMES, axis=1) if of_session else table
        leak = held + noise * table.std() * rng.standard_normal(table.shape)
        later = {ahead: np.vstack([leak[ahead:], np.full((ahead, NAMES), np.nan)]).ravel() for ahead in SHIFTS}
        figure = (between if of_session else within)(leak.ravel(), known)
        shifts = {ahead: shifted(leak.ravel(), values, known, groups=of_session) for ahead, values in later.items()}
        found.append(_too_good(figure, shifts))
    assert np.mean(found) >= least


@pytest.mark.calibration
def test_persistent_features_without_skill_are_never_thought_too_good():
    """Estimand: share of features without skill that surely exceed PLAUSIBLE; truth: none; 200 (2,000) independent
    markets of 40 independent labels each, features with a memory of .97, of a name and of the whole session."""
    found = []
    for seed in range(2000 if FULL else 100):
        rng = np.random.default_rng(seed)
        known = outcomes(rng)
        alone = memory(rng, (SESSIONS, NAMES), 0.97).ravel()
        whole = np.repeat(memory(rng, (SESSIONS, 1), 0.97), NAMES)
        found += [within(alone, known), between(alone, known), between(whole, known)]
    z = np.array([one.value / one.error for one in found])
    assert max(one.surely for one in found) < PLAUSIBLE
    assert (np.abs(z) > SURE).mean() < 0.01
