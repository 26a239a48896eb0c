"""Several processes evaluate the trials of one study: as many as asked for, each once, also where one is killed."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from study_child import begin, evaluate, look_at

from bq.core import db, paths
from bq.core.errors import BQError
from bq.serving import ledger
from bq.tuning import study
from tests.postgresql import Server

CHILD = Path(__file__).with_name("study_child.py")
SECONDS = 60  # a test that fails must end


def die_at(number: int, values: dict, *, at: int, marks: Path, times: int) -> tuple[float, dict]:
    """`evaluate`, but the process is killed at one trial, so many times."""
    if number == at and len(list(marks.iterdir())) < times:
        (marks / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(number, values)


def die_at_and_run_on(number: int, values: dict, *, at: int, marks: Path) -> tuple[float, dict]:
    """`die_at` each time, and every later trial runs until it is stopped."""
    if number > at:
        time.sleep(SECONDS)
    return die_at(number, values, at=at, marks=marks, times=9)


def looked_at() -> list[int]:
    return sorted(row["number"] for row in ledger.listed())


@pytest.fixture
def marks(tmp_path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def test_a_killed_workers_trial_is_run_once_more_and_counted_once(home, marks):
    made = begin("killed")
    dying = partial(die_at, at=4, marks=marks, times=1)
    study.run(made, dying, keep=look_at, trials=9, workers=2)
    assert len(list(marks.iterdir())) == 1
    assert [trial.number for trial in made.trials] == list(range(9))
    for trial in made.trials:
        assert trial.state.name == "PRUNED" or trial.value == evaluate(0, trial.params)[0], "each is reproducible"
    assert looked_at() == [trial.number for trial in made.trials if trial.state.name == "COMPLETE"]
    seeds = [trial.user_attrs["sampler_seed"] for trial in made.trials]
    assert len(set(seeds)) == 9
    assert seeds == [trial.user_attrs["sampler_seed"] for trial in begin("killed").trials]


def test_a_trial_that_kills_two_workers_ends_the_search_and_what_is_finished_is_kept(home, marks):
    with pytest.raises(BQError, match=r"^tuning: every worker process .* Try fewer WORKERS\.$"):
        study.run(begin("poisoned"), partial(die_at_and_run_on, at=4, marks=marks), trials=9, workers=2)
    assert len(list(marks.iterdir())) == 2
    kept = [trial.number for trial in begin("poisoned").trials]
    assert {0, 1, 2, 3} >= set(kept)
    assert len(kept) >= 3  # of two workers one took the fifth trial when all but one had ended


def test_killed_with_several_trials_under_way_a_study_goes_on_and_no_number_is_given_twice(home):
    killed = begin("gap")
    study.run(killed, evaluate, trials=2)
    third = study._begin(killed, 9)
    fourth = study._begin(killed, 9)
    study._finish(killed, fourth, lambda: evaluate(fourth.number, fourth.values), None)
    assert (third.number, fourth.number) == (2, 3)
    resumed = begin("gap")
    assert [trial.number for trial in resumed.trials] == [0, 1, 3]
    study.run(resumed, evaluate, trials=6)
    assert [trial.number for trial in resumed.trials] == [0, 1, 3, 4, 5, 6]
    assert [trial.number for trial in begin("gap").trials] == [0, 1, 3, 4, 5, 6]


@pytest.fixture
def server(monkeypatch):
    """A PostgreSQL of this test alone, as it is killed."""
    started = Server()
    monkeypatch.setenv("BQ_DATABASE_URL", started.url)
    yield started
    db.close()
    started.end()


def child(*words: str) -> subprocess.Popen:
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT)}
    return subprocess.Popen([sys.executable, str(CHILD), *words], env=environment, **piped)


def test_a_killed_postgresql_is_a_sentence_and_the_search_goes_on_without_loss_or_duplicates(home, server):
    searching = child("shared", "9", "waits", "5")
    assert searching.stdout.readline() == "at 5\n"
    server.kill()
    _, said = searching.communicate("go on\n", timeout=120)
    last = said.strip().splitlines()[-1]
    assert searching.returncode == 1
    assert "ERROR BQError: tuning: BQ_DATABASE_URL: the database postgresql+psycopg://postgres:***@/" in last
    assert " must be reachable and writable, but: " in last
    assert last.endswith(study.RESUME)
    assert "Traceback" not in said
    server.start()
    resumed = begin("shared")
    before = {trial.number: trial.params for trial in resumed.trials}
    assert sorted(before) == [0, 1, 2, 3, 4]
    kept = looked_at()
    with db.engine().begin() as connection:  # an hour later
        connection.execute(sa.text("update optuna.trial_heartbeats set heartbeat = heartbeat - interval '1 hour'"))
    study.run(resumed, evaluate, keep=look_at, trials=9)
    numbers = [trial.number for trial in resumed.trials]
    assert len(set(numbers)) == len(numbers) == 9
    assert 5 in numbers, "the one under way when the server was killed, under its number"
    assert {trial.number: trial.params for trial in resumed.trials if trial.number in before} == before
    feasible = [trial.number for trial in resumed.trials if trial.state.name == "COMPLETE"]
    assert set(kept) <= set(feasible)
    assert looked_at() == feasible
