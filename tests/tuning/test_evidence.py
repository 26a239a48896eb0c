"""The joint gate on series whose truth is known."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq.serving import verdict_text
from bq.stats import overfitting
from bq.tuning import evidence

DAYS = [dt.date(2010, 1, 4) + dt.timedelta(days=i) for i in range(1000)]


def study(matrix: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"session": DAYS, **{f"strategy/s/{i}": matrix[:, i] for i in range(matrix.shape[1])}})


def judged(matrix: np.ndarray) -> evidence.Evidence:
    best = int(np.argmax(matrix.mean(axis=0) / matrix.std(axis=0)))
    whole = study(matrix)
    return evidence.judge(pl.DataFrame({"session": DAYS, "value": matrix[:, best]}), whole, whole)


def noise(seed: int, *, n: int = 50) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_normal((len(DAYS), n))


def test_the_best_of_fifty_useless_trials_is_rejected_in_nineteen_of_twenty():
    assert sum(judged(noise(seed)).passed for seed in range(20)) <= 1


def test_skill_passes_where_the_better_trials_are_always_the_same():
    matrix = noise(1) + 0.0012  # an annual Sharpe ratio of 1.9, of five trials twice as much
    matrix[:, :5] += 0.0012
    found = judged(matrix)
    assert found.passed
    assert [component.holds for component in found.components] == [True, True]
    assert all(component.missing is None for component in found.components)


def test_what_does_not_hold_says_what_would_be_needed():
    found = judged(noise(2))
    assert not found.passed
    assert all(verdict_text.part(component).needed for component in found.components if not component.holds)


def test_near_copies_of_the_winner_do_not_make_a_choice_look_overfitted():
    matrix = noise(3, n=6)
    matrix[:, 0] += 0.0015
    copies = matrix[:, :1] + 0.0005 * np.random.default_rng(4).standard_normal((len(DAYS), 40))
    apart, together = judged(matrix), judged(np.hstack([matrix, copies]))
    assert apart.passed
    assert together.passed
    assert overfitting.backtest_overfitting(np.hstack([matrix, copies])) > 0.2, "each copy for itself"


def test_trials_that_are_all_one_leave_the_choice_open_and_do_not_pass():
    alone = noise(5, n=1) + 0.0015
    found = judged(alone + 0.0001 * noise(6, n=4))
    assert found.overfitting is None
    assert found.components[1].holds is None
    assert not found.passed


@pytest.mark.parametrize(("mean", "needs"), [(0.0006, "more sessions"), (-0.001, "a higher mean")])
def test_a_sharpe_ratio_that_proves_too_little_says_how_much_more_it_takes(mean, needs):
    found = judged(noise(7, n=2) + mean)
    assert not found.components[0].holds
    assert needs in verdict_text.part(found.components[0]).needed
