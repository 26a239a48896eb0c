"""The confidence sequences: published radii and bounds, and what happens to one who looks every time."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from bq.core.errors import BadParameters
from bq.stats.sequential import confidence_sequence, radius, share_sequence, student_radius

RULE = {"alpha": 0.05, "sharpest_at": 100}


def test_radius_matches_reference_values():
    assert radius([30, 100, 250, 500], **RULE) == pytest.approx([0.57868, 0.30354, 0.19535, 0.14156], abs=1e-5)


def test_radius_agrees_with_the_normal_mixture_of_the_confseq_package():
    # Howard, Ramdas, McAuliffe & Sekhon 2021, two-sided boundary of the sum at variance 100, best rho there
    assert 100 * float(radius(100, **RULE)) == pytest.approx(30.35209, rel=1e-4)


@pytest.mark.parametrize("other", [30, 60, 200, 400], ids=str)
def test_the_bounds_are_narrowest_where_they_were_to_be(other):
    assert radius(100, **RULE) < radius(100, alpha=0.05, sharpest_at=other)


def test_bounds_use_what_is_known_by_then():
    values = np.random.default_rng(1).standard_normal(60) + 1e6
    found = confidence_sequence(values, **RULE)
    assert np.isnan(found.low[:19]).all() and np.isfinite(found.low[19:]).all()
    for t in (20, 41, 60):
        head = values[:t]
        reach = head.std(ddof=1) * student_radius(t, **RULE)
        assert found.mean[t - 1] == pytest.approx(head.mean())
        assert found.high[t - 1] - found.mean[t - 1] == pytest.approx(reach, rel=1e-6)
        assert found.mean[t - 1] - found.low[t - 1] == pytest.approx(reach, rel=1e-6)
    for part, whole in zip(confidence_sequence(values[:41], **RULE), found, strict=True):
        assert np.array_equal(part, whole[:41], equal_nan=True)


def test_an_empty_sequence_has_no_bounds():
    assert [len(part) for part in confidence_sequence([], **RULE)] == [0, 0, 0]


def test_who_looks_every_time_is_wrong_at_most_as_often_as_it_says_while_a_t_test_is_not():
    """1,000 sequences of 300 without effect: at most 5% ever exclude zero; a t-test looked at each time does in 30%."""
    values = np.random.default_rng(2).standard_normal((1000, 300))
    wrong = sum(bool(((s.low > 0) | (s.high < 0)).any()) for s in (confidence_sequence(v, **RULE) for v in values))
    assert wrong <= binom.ppf(0.999, 1000, 0.05)
    t = np.arange(1, 301)
    peeked = np.abs(values.cumsum(axis=1) / np.sqrt(t))[:, 19:] > 1.96
    assert peeked.any(axis=1).mean() > 0.2


def test_an_effect_is_found():
    values = np.random.default_rng(3).standard_normal(300) + 0.5
    assert confidence_sequence(values, **RULE).low[-1] > 0


def test_where_the_deviation_is_estimated_the_bound_is_that_of_a_bayes_factor_of_one_over_alpha():
    """Normal likelihoods integrated over the effect (prior of variance ρ²) and over the deviation (density 1/σ)."""
    t, rho2 = 25, 0.29634**2
    values = np.random.default_rng(7).standard_normal(t)
    values = (values - values.mean()) / values.std(ddof=1) + student_radius(t, **RULE)  # the bound lies at 0

    deviation = np.exp(np.linspace(-1.5, 2.0, 700))[:, None]
    effect = np.linspace(-2.0, 4.0, 1201)

    def likelihood(at):
        squares = (values**2).sum() / deviation**2 - 2 * at * values.sum() / deviation + t * at**2
        return np.exp(-0.5 * squares - t * np.log(deviation))

    among = (likelihood(effect) * norm.pdf(effect, scale=rho2**0.5)).sum() * (effect[1] - effect[0])
    assert among / likelihood(0.0).sum() == pytest.approx(1 / 0.05, rel=0.001)


def test_with_many_observations_it_does_not_matter_that_the_deviation_is_estimated():
    counts = np.array([20, 100, 500, 5000])
    wider = student_radius(counts, **RULE) / radius(counts, **RULE)
    assert (np.diff(wider) < 0).all() and wider[0] > 1.2 and 1.0 < wider[-1] < 1.001
    assert student_radius(2, alpha=0.001, sharpest_at=5000) == np.inf  # nothing is told yet


@pytest.mark.parametrize(
    ("successes", "n", "sharpest_at", "low", "high"),
    [
        pytest.param(700, 1000, 100, 0.651629, 0.745949, id="700-of-1000"),
        pytest.param(15, 50, 50, 0.129556, 0.511896, id="15-of-50"),
        pytest.param(1, 50, 50, 0.0, 0.13489, id="1-of-50"),
        pytest.param(49, 50, 50, 1 - 0.13489, 1.0, id="49-of-50"),
    ],
)
def test_bounds_of_a_share_are_those_of_confseq(successes, n, sharpest_at, low, high):
    """confseq, test/uniform_boundaries_unittest.cpp."""
    found = share_sequence(successes, n, alpha=0.05, sharpest_at=sharpest_at)
    assert (found.low, found.high) == (pytest.approx(low, abs=2e-6), pytest.approx(high, abs=2e-6))
    assert (found.value, found.n) == (successes / n, n)


def test_bounds_of_a_share_without_a_success_without_a_failure_and_without_a_trial():
    assert share_sequence(0, 30, **RULE).low == 0.0 < share_sequence(0, 30, **RULE).high < 0.5
    assert share_sequence(30, 30, **RULE).high == 1.0 > share_sequence(30, 30, **RULE).low > 0.5
    empty = share_sequence(0, 0, **RULE)
    assert np.isnan(empty.value) and (empty.low, empty.high) == (0.0, 1.0)
    with pytest.raises(BadParameters, match="between 0 and `n`"):
        share_sequence(3, 2, **RULE)


def test_who_looks_at_a_share_after_every_trial_is_wrong_at_most_as_often_as_it_says():
    """200 sequences of 100 trials at a share of .3."""
    rng, wrong = np.random.default_rng(5), 0
    known = {}
    for trials in rng.random((200, 100)) < 0.3:
        for n, successes in enumerate(trials.cumsum(), 1):
            if (successes, n) not in known:
                bounds = share_sequence(int(successes), n, **RULE)
                known[successes, n] = bounds.low <= 0.3 <= bounds.high
            if not known[successes, n]:
                wrong += 1
                break
    assert 0 < wrong <= binom.ppf(0.999, 200, 0.05)
