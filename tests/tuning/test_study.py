"""A study gives the same trials whether or not it was interrupted, and loses nothing that was finished."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState
from study_child import FIRST, RANGES, begin, evaluate

from bq.core import paths
from bq.core.errors import BadData
from bq.tuning import study
from bq.tuning.study import Infeasible

CHILD = Path(__file__).with_name("study_child.py")


def listed(of: study.Study) -> list[tuple]:
    return [(trial.number, trial.params, trial.value, trial.user_attrs) for trial in of.trials]


def run(name: str | None, trials: int, *, seed: int = 1) -> study.Study:
    made = begin(name, seed)
    study.run(made, evaluate, trials=trials)
    return made


def test_the_same_seed_gives_the_same_trials_and_another_seed_others():
    assert listed(run(None, 15)) == listed(run(None, 15))
    assert listed(run(None, 15))[1:] != listed(run(None, 15, seed=2))[1:]


def test_a_study_begins_with_what_was_given():
    assert run(None, 1).trials[0].params == FIRST


def test_a_given_value_outside_its_range_is_not_tried():
    made = study.begin(None, RANGES, seed=1, first=FIRST | {"b": 200})
    study.run(made, evaluate, trials=1)
    assert made.trials[0].params["b"] in (20, 50)


def test_a_search_finds_the_bottom_of_a_bowl():
    values = study.best(run(None, 60)).params
    assert abs(values["a.x"] - 0.35) <= 0.1
    assert abs(values["a.k"] - 7) <= 1
    assert values["b"] == 50


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(home):
    for trials in (4, 13, 25):
        made = run("kept", trials)
    assert listed(made) == listed(run(None, 25))


def test_killed_in_the_middle_a_study_loses_only_the_trial_under_way(home):
    killed = subprocess.run(
        [sys.executable, str(CHILD), "killed", "25", "14"],
        env={"PYTHONPATH": str(paths.CHECKOUT), "BQ_HOME": str(home), "PATH": "/usr/bin"},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(begin("killed").trials) == 14
    assert listed(run("killed", 25)) == listed(run(None, 25))


def test_half_a_line_at_the_end_of_the_journal_is_dropped(home):
    run("torn", 5)
    path = home / "data/tuning/torn.log"
    path.write_bytes(path.read_bytes()[:-40])
    assert listed(run("torn", 9)) == listed(run(None, 9))


def test_an_error_ends_a_study_but_what_was_finished_stays(home):
    def broken(number, values):
        if number == 6:
            raise ZeroDivisionError
        return evaluate(number, values)

    with pytest.raises(ZeroDivisionError):
        study.run(begin("broken"), broken, trials=20)
    assert listed(run("broken", 20)) == listed(run(None, 20))


def test_more_trials_go_on_from_those_before_and_fewer_change_nothing(home):
    first = listed(run("more", 12))
    assert listed(run("more", 20))[:12] == first
    assert len(run("more", 5).trials) == 20


def test_an_infeasible_trial_keeps_its_reason_and_is_never_the_best():
    def lucky(number, values):
        if number == 0:
            raise Infeasible("2 trades closed, fewer than tuning.min_trades (30)")
        return float(number), {}

    made = begin(None)
    study.run(made, lucky, trials=5)
    assert made.trials[0].state == TrialState.PRUNED
    assert made.trials[0].user_attrs["reason"].startswith("2 trades closed")
    assert study.best(made).number == 4


def test_of_equal_trials_the_first_is_the_best():
    made = begin(None)
    study.run(made, lambda number, values: (1.0, {}), trials=5)
    assert study.best(made).number == 0


def test_where_no_trial_is_feasible_the_commonest_reason_is_told():
    def never(number, values):
        raise Infeasible("12 trades closed, fewer than tuning.min_trades (30)")

    made = begin(None)
    study.run(made, never, trials=3)
    with pytest.raises(BadData, match=r"none of 3 was: 12 trades closed, fewer than tuning.min_trades \(30\)"):
        study.best(made)


def test_a_study_in_memory_writes_nothing(home):
    run(None, 3)
    assert list(home.iterdir()) == []
