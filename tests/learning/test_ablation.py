"""What the forecast learner keeps of the oracle's skill, beside a regression that is told the terms and beside 0.1's.

The small form: one market of 30 names and 1,600 sessions at IC .10, one training a stage. The full form, by `make
claims`: 60 names × 2,500 sessions at IC .05, on the markets of `ablation.SEEDS`. The whole table of stages:
`python -m tests.learning.ablation`.
"""

import os

import pytest

from tests.learning import ablation

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it


@pytest.fixture(scope="module")
def found():
    size = ablation.Size() if FULL else ablation.Size(oracle_ic=0.1, symbols=30, sessions=1600)
    wanted = [stage for stage in ablation.STAGES if stage.name in (ablation.SHIPPED, ablation.OLDER)]
    rows = ablation.ablation(size, ablation.SEEDS if FULL else ablation.SEEDS[:1], wanted)
    return ablation.summary(rows).rows_by_key("stage", named=True, unique=True)


@pytest.mark.calibration
def test_the_stack_keeps_more_of_the_oracle_than_that_of_version_0_1(found):
    assert found[ablation.SHIPPED]["share"] > found[ablation.OLDER]["share"], found


@pytest.mark.calibration
def test_the_stack_keeps_nine_tenths_of_what_the_regression_keeps_that_is_told_the_terms(found):
    assert found[ablation.SHIPPED]["of_given"] >= 0.9, found


def test_the_regression_that_is_told_the_terms_comes_near_the_oracle_and_stays_below(found):
    """It sees the terms through factors and states that are estimated."""
    assert 0.6 < found[ablation.GIVEN]["share"] < 0.9
    assert found[ablation.SHIPPED]["share"] < 0.95
