import contextlib
import io
import os
import signal
from concurrent.futures import wait
from pathlib import Path

import pytest

from bq.core import cluster, errors
from bq.core.errors import BadData, BadParameters, BQError, Locked, TemporalOverlap
from bq.core.log import progress
from bq.core.parallel import Pool, completed, parallel_map, workers


def square(x: int) -> tuple[int, int]:
    return x, x * x


def fail(x: int) -> int:
    if x == 2:
        raise TemporalOverlap(f"item {x} must hold, but does not.")
    return x


def process(_: int) -> int:
    return os.getpid()


counts = pytest.mark.parametrize("count", ["1", "2"], ids="{}-workers".format)


@counts
def test_results_come_in_the_order_of_the_items(monkeypatch, count):
    monkeypatch.setenv("BQ_WORKERS", count)
    assert parallel_map(square, range(20), description="squares") == [(x, x * x) for x in range(20)]


def test_two_workers_are_other_processes(monkeypatch):
    monkeypatch.setenv("BQ_WORKERS", "2")
    assert os.getpid() not in parallel_map(process, range(4), description="processes")


@counts
def test_an_expected_error_reaches_the_caller_as_itself(monkeypatch, count):
    monkeypatch.setenv("BQ_WORKERS", count)
    with pytest.raises(TemporalOverlap) as caught:
        parallel_map(fail, range(4), description="failing")
    assert str(caught.value) == "item 2 must hold, but does not."
    assert caught.value.exit_code == BadParameters.exit_code


def test_no_items_give_no_results():
    assert parallel_map(square, [], description="nothing") == []


@pytest.mark.parametrize("text", ["-1", "two", "1.5"], ids=str)
def test_a_count_of_workers_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("BQ_WORKERS", text)
    with pytest.raises(BadParameters, match="BQ_WORKERS must be a whole number"):
        workers()


@pytest.mark.parametrize("text", ["", "0"], ids=["empty", "0"])
def test_all_usable_cores_work_by_default(monkeypatch, text):
    monkeypatch.setenv("BQ_WORKERS", text)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert workers() == os.cpu_count()


def test_a_scheduler_without_dask_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    monkeypatch.setenv("BQ_DASK_SCHEDULER", "tcp://127.0.0.1:1")
    with pytest.raises(BadParameters, match="needs the package `distributed`, but it is not installed"):
        parallel_map(square, [1], description="squares")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(_: int) -> tuple[str | None, str]:
    """The scheduler that a worker knows, and what it draws on a terminal."""
    with contextlib.redirect_stderr(Terminal()) as screen:
        list(progress(range(2), total=2, description="toy"))
    return os.environ.get("BQ_DASK_SCHEDULER"), screen.getvalue()


def test_what_needs_files_of_this_machine_stays_on_it_with_its_own_steps_and_draws_no_bars(monkeypatch):
    monkeypatch.setenv("BQ_DASK_SCHEDULER", "tcp://127.0.0.1:1")  # where nobody answers
    monkeypatch.setenv("BQ_WORKERS", "2")
    assert dict(completed(told, range(3), description="toy", here=True)) == dict.fromkeys(range(3), (None, ""))


def test_each_kind_of_error_has_its_exit_code():
    codes = {kind.__name__: kind.exit_code for kind in (BQError, Locked, BadParameters, BadData, TemporalOverlap)}
    assert codes == {"BQError": 1, "Locked": 3, "BadParameters": 4, "BadData": 5, "TemporalOverlap": 4}
    assert errors.BQError.__mro__[1] is Exception


def _die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_is_one_clear_sentence(monkeypatch):
    monkeypatch.setenv("BQ_WORKERS", "2")
    with pytest.raises(BQError, match="every worker process must run to its end, but one of 2 was killed"):
        parallel_map(_die, range(8), description="toy")


def _die_once(mark: str, item: int) -> int:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_an_item_submitted_after_a_worker_was_killed_is_done_as_the_others_are(tmp_path):
    with Pool(_die_once, 2, what="toy") as pool:
        pool.submit("first", str(tmp_path / "mark"), 1)
        wait(pool._under_way)
        pool.submit("second", str(tmp_path / "mark"), 2)
        found = dict(pool.finished())
        while len(found) < 2:
            found |= dict(pool.finished())
    assert {name: result() for name, result in found.items()} == {"first": 1, "second": 2}
