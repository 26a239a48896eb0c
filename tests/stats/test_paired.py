"""Two books looked at every day: blocks, when they grow, and the first day on which they are told apart."""

import numpy as np
import pytest
from statsmodels.tsa.stattools import acf

from bq.stats import paired
from bq.stats.sequential import confidence_sequence


def ar(n, coefficient, rng):
    shocks, values = rng.standard_normal(n), np.zeros(n)
    for t in range(n):
        values[t] = coefficient * values[t - 1] + shocks[t]
    return values


def test_observations_are_sums_of_five_sessions_and_the_rest_waits():
    daily = np.random.default_rng(1).standard_normal(252)
    found = paired.look(daily)
    assert found.sessions == 5 and len(found.values) == 50
    assert found.values == pytest.approx([daily[5 * n : 5 * n + 5].sum() for n in range(50)])
    bounds = confidence_sequence(found.values, alpha=0.05, sharpest_at=100)
    assert found.sequence.low[-1] == pytest.approx(bounds.low[-1])


@pytest.mark.parametrize("n", [3, 4, 40, 300], ids=str)
def test_autocorrelations_are_those_of_statsmodels_at_every_look(n):
    values = 5.0 + ar(n, 0.4, np.random.default_rng(n))
    found = paired.autocorrelations(values)
    assert np.isnan(found[:2]).all()
    for t in {3, n // 2, n} - {1, 2}:
        assert found[t - 1] == pytest.approx(acf(values[:t], nlags=1)[1], abs=1e-9)


def test_values_that_do_not_vary_have_no_autocorrelation():
    assert np.isnan(paired.autocorrelations([1e6] * 30)).all() and len(paired.autocorrelations([])) == 0


def test_blocks_grow_where_one_goes_along_with_the_next():
    rng = np.random.default_rng(3)
    independent, persistent = rng.standard_normal(3000), ar(3000, 0.95, rng)
    assert paired.look(independent).sessions == 5
    wider = paired.look(persistent)
    assert wider.sessions > 5 and wider.autocorrelation <= wider.band and wider.enough
    assert wider.band == pytest.approx(1.96 / np.sqrt(len(wider.values)))


def test_dependent_blocks_that_cannot_grow_give_no_verdict():
    """Thirty observations that trend; of wider blocks there would be fifteen."""
    trend = np.repeat(np.linspace(0.5, 1.5, 30), 5) + 0.01 * np.random.default_rng(4).standard_normal(150)
    found = paired.look(trend)
    assert found.sessions == 5 and found.autocorrelation > found.band
    assert found.sequence.low[-1] > 0 and not found.enough and found.apart == 0


@pytest.mark.parametrize("sessions", [0, 4, 99], ids=str)
def test_there_is_no_verdict_before_twenty_observations(sessions):
    found = paired.look(np.full(sessions, 1.0) + 1e-3 * np.arange(sessions) % 2)
    assert found.apart == 0 and not found.enough


@pytest.mark.parametrize(("mean", "sign"), [(0.5, 1), (-0.5, -1), (0.0, 0)], ids=["better", "worse", "the-same"])
def test_a_difference_is_told_with_its_sign(mean, sign):
    assert paired.look(mean + np.random.default_rng(6).standard_normal(1000)).apart == sign


@pytest.mark.parametrize("case", ["plain", "persistent", "null", "short"])
@pytest.mark.parametrize("sessions", [5, 12], ids=["marks", "booked"])
def test_the_first_day_is_that_of_who_asks_after_every_session(case, sessions):
    rng = np.random.default_rng(8)
    daily = {
        "plain": 0.25 + rng.standard_normal(700),
        "persistent": 6.0 + ar(700, 0.9, rng),
        "null": rng.standard_normal(700),
        "short": 3.0 + rng.standard_normal(90),
    }[case]
    asked = [n for n in range(1, 701) if n <= len(daily) and paired.look(daily[:n], sessions=sessions).apart]
    assert paired.first_apart(daily, sessions=sessions) == (asked[0] if asked else None)
    assert bool(asked) == (case in ("plain", "persistent"))
