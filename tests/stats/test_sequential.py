"""The confidence sequence: published radii, and what happens to one who looks every time."""

import numpy as np
import pytest
from scipy.stats import binom

from bq.stats.sequential import confidence_sequence, radius

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
        reach = head.std(ddof=1) * radius(t, **RULE)
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
