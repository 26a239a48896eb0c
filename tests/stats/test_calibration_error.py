"""Calibration beside a reference: by hand, and on forecasts whose truth is known."""

import numpy as np
import pytest

from bq.stats import calibration

RULE = {"block": 1.0, "alpha": 0.025, "draws": 1000, "seed": 1}


def rows(n, each=5):
    return np.repeat(np.arange(n // each), each)


def years(seed, *, sessions=400, each=5):
    """Win rates that move from year to year; a constant is wrong in each, and so is a forecast that sorts well."""
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.uniform(0.35, 0.65, 8), sessions * each // 8)
    tilt = 0.1 * rng.choice([-1.0, 1.0], len(base))
    hit = (rng.random(len(base)) < base + tilt).astype(float)
    return 0.5 + tilt, np.full(len(base), 0.5), hit, rows(len(base), each)


def test_raw_errors_by_hand():
    """Bins [.2, .3): predicted .25, observed .5 of 2; [.7, .8): .75 and 1 of 2. Weighted: .25 each."""
    chance, hit = np.array([0.25, 0.25, 0.75, 0.75]), np.array([0.0, 1.0, 1.0, 1.0])
    table = np.hstack([calibration._gaps(chance, hit, np.array([0, 0, 1, 1]), 2), np.full((2, 1), 2.0)])
    assert calibration._errors(table.mean(axis=0)[None], 2)[0].tolist() == [0.25, 0.0]


def test_of_perfect_forecasts_the_debiased_error_is_half_of_the_raw_one():
    found, raw = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chance = rng.uniform(0, 1, 1000)
        hit = (rng.random(1000) < chance).astype(float)
        found.append(calibration.compare(chance, np.full(1000, 0.5), hit, rows(1000), **RULE).error)
        gaps = np.bincount((chance * 10).astype(int), chance - hit, minlength=10)
        raw.append(np.abs(gaps).sum() / 1000)
    assert np.mean(raw) > 0.03 and np.mean(found) < 0.6 * np.mean(raw)


def test_large_errors_keep_their_size():
    """Predicted .1 too high throughout: the error is .1, whatever the noise adds to it."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chance = rng.uniform(0.3, 0.9, 1000)
        hit = (rng.random(1000) < chance - 0.1).astype(float)
        found.append(calibration.compare(chance, np.full(1000, 0.5), hit, rows(1000), **RULE).error)
    assert np.mean(found) == pytest.approx(0.1, abs=0.01)


def test_a_forecast_as_wrong_as_the_reference_is_rarely_called_worse():
    worse = [calibration.compare(*years(seed), **RULE).low > 0.0 for seed in range(60)]
    assert sum(worse) <= 5


def test_an_overconfident_forecast_is_called_worse():
    for seed in range(10):
        chance, reference, hit, row = years(seed)
        found = calibration.compare(0.5 + 4.0 * (chance - 0.5), reference, hit, row, **RULE)
        assert found.low > 0.0 and found.excess == pytest.approx(found.error - found.reference)


def test_of_few_blocks_there_is_no_bound():
    chance, reference, hit, row = years(0, sessions=16)
    assert np.isnan(calibration.compare(chance, reference, hit, row, **RULE | {"block": 4.0}).low)
