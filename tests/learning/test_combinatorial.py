"""Every path predicts every event once, and its figures are those of its predictions."""

import numpy as np
import pytest
from toy_strategy import TOY, toy_events, toy_settings

from bq.learning.combinatorial import backtest_paths, summary

SETTINGS = toy_settings(policy={"k": 2})


@pytest.fixture(scope="module")
def found():
    paths = backtest_paths(toy_events(sessions=80), TOY, SETTINGS, groups=5, tested=2)
    return summary(paths, TOY, SETTINGS)


def test_five_groups_two_at_a_time_make_four_paths_over_all_sessions(found):
    assert found["path"].to_list() == [1, 2, 3, 4]
    assert found["sessions"].n_unique() == 1 and found["sessions"][0] >= 77


def test_the_rule_score_trades_as_often_as_the_model_and_so_its_result_depends_on_the_path_too(found):
    assert np.ptp(found["baseline"].to_numpy()) > 0
    assert np.ptp(found["model"].to_numpy()) > 0
    assert (found["uplift"] - (found["model"] - found["baseline"])).abs().max() < 1e-12


def test_a_feature_that_carries_the_outcome_pays_on_every_path(found):
    assert found["uplift"].min() > 0.05
