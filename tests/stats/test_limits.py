"""Limits of detectors hold the rate of false alarms that they state, and find harm soon enough."""

import os

import numpy as np
import pytest

from bq.stats import limits, streams
from bq.stats.limits import Detector, Stream

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
STREAMS = 20_000 if FULL else 2000
FLIPPED = 0.25 * 2 / 3 + 0.75 / 3  # of errors of .25, labels turned for a third of the space


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(20261129)


@pytest.fixture(scope="module")
def reference(rng) -> Stream:
    """Walk-forward errors of 2,000 blocks of one outcome each."""
    return Stream((rng.random(2000) < 0.25).astype(float))


@pytest.fixture(scope="module")
def found(reference) -> limits.Found:
    return limits.limit_of(Detector.LLR_CUSUM, reference, seed=1)


def alarms(found, reference, errors) -> np.ndarray:
    p0 = np.full(len(errors), reference.p0)
    return streams.first_alarm(limits.path(found.detector, errors.astype(float), p0, reference), found.limit)


@pytest.mark.calibration
def test_labels_flipped_for_a_third_are_found_within_150_values_in_85_of_100(reference, found, rng):
    after = alarms(found, reference, rng.random((STREAMS, 150)) < FLIPPED)
    assert (after > 0).mean() >= 0.85
    assert found.false_alarms <= limits.RATE + 3 * np.sqrt(0.09 / limits.DRAWS)


@pytest.mark.calibration
def test_at_most_a_tenth_of_streams_without_a_change_alarm_whatever_the_reference_happened_to_be(rng):
    """Estimand: alarms within 1,000 values, references of 300 blocks drawn anew; truth <= .10."""
    rates = []
    for i in range(60 if FULL else 6):
        reference = Stream((rng.random(300) < 0.25).astype(float))
        held = limits.limit_of(Detector.LLR_CUSUM, reference, seed=i)
        rates.append((alarms(held, reference, rng.random((300, 1000)) < 0.25) > 0).mean())
    assert np.mean(rates) <= limits.RATE + 2 * np.std(rates) / np.sqrt(len(rates))


def test_the_published_limits_of_the_bernoulli_cusum_have_their_published_rates(rng):
    """h = 5 and 6 for .25 against .417: found in 97 and 92 of 100, false alarms in 24 and 9.3 of 100."""
    p0, p1 = 0.25, FLIPPED
    steps = np.log(p1 / p0), np.log((1 - p1) / (1 - p0))
    worse, same = (np.where(rng.random((2000, n)) < p, *steps) for n, p in ((150, p1), (1000, p0)))
    for h, found, false in ((5, 0.97, 0.24), (6, 0.92, 0.093)):
        # two digits, from simulations of their own
        assert (streams.cusum(worse).max(axis=1) >= h).mean() == pytest.approx(found, abs=0.02)
        assert (streams.cusum(same).max(axis=1) >= h).mean() == pytest.approx(false, abs=0.035)


def test_no_detector_is_shown_as_evidence_that_does_not_beat_the_dummy(reference):
    *detectors, dummy = limits.compared(reference, seed=2)
    assert dummy.detector == Detector.DUMMY
    assert dummy.found == pytest.approx(1 - 0.9**0.15)
    assert dummy.run_length == pytest.approx(1000 / -np.log(0.9), rel=1e-3)
    assert {one.detector for one in detectors} == set(Detector) - {Detector.DUMMY}
    for one in detectors:
        assert one.found > 10 * dummy.found
        assert one.false_alarms <= 0.125
        assert one.run_length > 7000


def test_a_block_of_many_outcomes_is_worth_more_than_one(rng):
    of_one = Stream((rng.random(60) < 0.4).astype(float))
    of_fifty = Stream((rng.random((60, 50)) < 0.4).mean(axis=1))
    assert of_one.size == pytest.approx(1.0, abs=0.05)
    assert 25 < of_fifty.size < 100  # 60 blocks tell a variance to a factor of 1.4
    slow, soon = (limits.limit_of(Detector.LLR_CUSUM, one, seed=3) for one in (of_one, of_fifty))
    assert soon.found > 0.98 and soon.delay < 40
    assert slow.found < 0.3


def test_a_reference_without_errors_has_a_finite_limit():
    found = limits.limit_of(Detector.LLR_CUSUM, Stream(np.zeros(30)), seed=4)
    assert np.isfinite(found.limit)


def test_limits_are_the_same_for_the_same_seed(reference, found):
    assert limits.limit_of(Detector.LLR_CUSUM, reference, seed=1) == found
