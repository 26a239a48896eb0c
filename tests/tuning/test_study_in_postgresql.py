"""Where the database is PostgreSQL the study lies there: several processes work on it, and dead ones are noticed."""

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from optuna.trial import TrialState
from study_child import begin, evaluate

from bq.core import db, paths
from bq.tuning import study

CHILD = Path(__file__).with_name("study_child.py")


def child(home: Path, url: str, *words: str) -> subprocess.Popen:
    environment = {"PYTHONPATH": str(paths.CHECKOUT), "BQ_HOME": str(home), "BQ_DATABASE_URL": url, "PATH": "/usr/bin"}
    return subprocess.Popen([sys.executable, str(CHILD), *words], env=environment, stderr=subprocess.PIPE, text=True)


def test_a_study_lies_in_the_database_and_is_taken_up_there(home, database):
    study.run(begin("shared"), evaluate, trials=4)
    again = begin("shared")
    study.run(again, evaluate, trials=8)
    assert [trial.number for trial in again.trials] == list(range(8))
    assert not (home / "data/tuning").exists()
    tables = sa.inspect(db.engine())
    assert {"trials", "studies", "trial_heartbeats"} <= set(tables.get_table_names(study.SCHEMA))
    assert {"looks", "attempts"} <= set(tables.get_table_names()), "ours have names of their own"
    assert not set(tables.get_table_names()) & {"studies", "trial_heartbeats"}


def test_one_process_gives_the_trials_that_memory_gives(home, database):
    kept, fleeting = begin("same"), begin(None)
    for made in (kept, fleeting):
        study.run(made, evaluate, trials=14)
    assert [(t.params, t.value) for t in kept.trials] == [(t.params, t.value) for t in fleeting.trials]


def test_a_trial_whose_process_was_killed_is_failed_and_run_again(home, database):
    assert child(home, database, "killed", "10", "3").wait() == -9
    before = begin("killed")
    dead = before.working.get_trials(states=(TrialState.RUNNING,))
    assert [trial.number for trial in dead] == [3]
    with db.engine().begin() as connection:  # an hour later
        connection.execute(sa.text("update optuna.trial_heartbeats set heartbeat = heartbeat - interval '1 hour'"))
    study.run(before, evaluate, trials=10)
    assert before.working.trials[3].state == TrialState.FAIL
    retried = [trial for trial in before.trials if trial.params == dead[0].params]
    assert [trial.number for trial in retried] == [3], "it is the same trial"
    assert len({trial.number for trial in before.trials}) == len(before.trials) == 10


def test_two_processes_that_start_at_once_share_an_empty_database(home, database):
    both = [child(home, database, "together", "8") for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert [trial.number for trial in begin("together").trials] == list(range(8)), "as many as were asked for"
