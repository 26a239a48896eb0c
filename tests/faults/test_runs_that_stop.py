"""Whatever stops a run: its record stays, the champion too, nothing goes on running, and the next run does the work."""

import ctypes
import datetime as dt
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import psutil
import pytest

from bq import market, runs, strategies
from bq.core import files, params, paths
from bq.core.errors import BadData, BadParameters, BQError, Locked
from bq.core.namespace import Namespace
from bq.core.settings import Market
from bq.jobs import retrain
from bq.jobs.request import Request
from bq.jobs.run import leftovers, protocol, publish
from bq.jobs.run.protocol import Cancelled, Run
from bq.monitoring.triggers import State
from bq.runs import folder, write
from bq.runs.record import Job, Status
from bq.serving import ledger, registry
from tests import stored

NAMESPACE = Namespace.parse("butterfly")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home with a champion."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGHUP)}
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "NOTIFY_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(protocol, "git_state", dict)
    registry.deploy(NAMESPACE, stored.artefact(), reason="test")
    yield tmp_path
    for number, handler in before.items():  # whoever runs the tests may have them ignored
        signal.signal(number, handler)


@pytest.fixture
def settings():
    return params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)


@pytest.fixture
def perform(settings):
    def go(work) -> Run:
        run = Run(settings, job=Job.RETRAIN)
        protocol.perform(run, work)
        return run

    return go


def fail(error: BaseException):
    def work(_: object) -> None:
        raise error

    return work


def stop(number: int):
    return lambda _: os.kill(os.getpid(), number)


def only() -> runs.Run:
    """The one run there is, whole: nothing hidden is left."""
    assert not list(paths.outputs().glob(".*"))
    (found,) = runs.every()
    return found


def test_a_failed_run_has_record_and_report_with_the_reason(perform):
    with pytest.raises(BadData, match="bars must hold"):
        perform(fail(BadData("bars must hold, but do not.")))
    run = only()
    assert (run.record.status, run.record.error) == ("failed", "bars must hold, but do not.")
    page = run.report.read_text()
    assert "This run failed." in page and "bars must hold, but do not." in page
    assert not (paths.outputs() / "latest").is_symlink()


def test_a_request_that_is_refused_while_data_is_read_leaves_no_run_behind_and_is_told(perform, home, monkeypatch):
    """SYMBOLS=APPL: whoever is notified hears of it, and the next `make status` shows no failed run."""
    monkeypatch.setenv("NOTIFY_CMD", f"tee {home / 'heard'}")

    def work(run: Run) -> None:
        with run.phase("market data"):
            market.load(Market(symbols=["APPL"]))

    with pytest.raises(BadParameters, match="'APPL' has none; did you mean `AAPL`"):
        perform(work)
    assert runs.every() == [] and not list(paths.outputs().glob(".*"))
    assert (home / "heard").read_text().startswith("failed: ") and "'APPL' has none" in (home / "heard").read_text()


def test_a_fault_of_the_parameters_that_is_found_later_is_a_failed_run(perform):
    def work(run: Run) -> None:
        for name in ("market data", "events"):
            with run.phase(name):
                pass
        raise BadParameters("it must hold, but does not.")

    with pytest.raises(BadParameters):
        perform(work)
    assert only().record.status == "failed"


ENDING = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)


@ENDING
def test_a_signal_is_recorded_as_cancelled_and_leaves_the_champion(perform, number):
    before = registry.pointer(NAMESPACE)
    handler = signal.getsignal(number)
    with pytest.raises(Cancelled):
        perform(stop(number))
    assert only().record.status == "cancelled"
    assert registry.pointer(NAMESPACE) == before
    assert signal.getsignal(number) == handler


@ENDING
def test_a_signal_while_a_deployment_is_under_way_does_not_tear_it_from_its_record(perform, number):
    def work(run: Run) -> None:
        with run.phase("deployment", stoppable=False):
            stop(number)(run)
            run.record.status = "deployed"

    perform(work)
    assert only().record.status == "deployed"


@pytest.mark.parametrize("place", ["a-callback-of-c", "a-destructor"])
def test_a_signal_that_arrives_where_nothing_can_be_raised_stops_the_run_all_the_same(perform, place):
    """Python drops what is raised there: with xgboost a run went on beyond its limit, and heard no further signal."""

    def interrupted(*_) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return sum(range(1000))

    def work(run):
        if place == "a-destructor":
            holder = type("Holder", (), {"__del__": interrupted})()
            del holder
        else:
            ctypes.CFUNCTYPE(ctypes.c_int)(interrupted)()
        begun = time.monotonic()
        while time.monotonic() < begun + 10.0:
            time.sleep(0.01)

    with pytest.raises(Cancelled, match="SIGTERM"):
        perform(work)
    assert only().record.status == Status.CANCELLED


def test_a_second_signal_does_not_stop_the_record_of_the_first(perform, monkeypatch):
    monkeypatch.setattr(Run, "render", stop(signal.SIGTERM))
    with pytest.raises(Cancelled):
        perform(stop(signal.SIGINT))
    assert only().record.error == "SIGINT"


@pytest.mark.parametrize("fault", [FULL, ZeroDivisionError("a bug")], ids=["full-disk", "bug"])
def test_a_failure_goes_on_as_itself_also_when_rendering_fails(perform, monkeypatch, fault):
    monkeypatch.setattr(Run, "render", fail(fault))
    with pytest.raises(BadData, match="first"):
        perform(fail(BadData("first")))
    assert (only().record.status, only().record.error) == ("failed", "first")


def test_a_failure_goes_on_as_itself_also_when_nothing_can_be_written(perform, monkeypatch):
    def work(_: Run) -> None:
        monkeypatch.setattr(files, "sync", fail(FULL))
        raise BadData("first")

    with pytest.raises(BadData, match="first"):
        perform(work)
    monkeypatch.undo()


def test_a_good_run_without_a_report_keeps_its_record_and_is_not_good(perform, monkeypatch):
    monkeypatch.setattr(Run, "render", fail(FULL))
    with pytest.raises(OSError, match="No space left"):
        perform(lambda run: None)
    run = only()
    assert "the report could not be rendered" in run.record.error
    assert not publish.was_published(run.record.run_id) and not (paths.outputs() / "latest").is_symlink()


def test_the_record_holds_the_hash_of_each_table(perform):
    frame = pl.DataFrame({"expected": [0.5]})
    run = perform(lambda run: frame.write_parquet(run.folder / "oos.parquet"))
    path = paths.outputs() / run.run_id / "oos.parquet"
    assert only().record.tables == {"oos.parquet": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_runs_of_one_second_have_names_of_their_own(perform, monkeypatch):
    moment = protocol.dt.datetime(2026, 11, 21, tzinfo=protocol.dt.UTC)
    monkeypatch.setattr(protocol.dt, "datetime", SimpleNamespace(now=lambda _: moment))
    assert perform(lambda run: None).run_id < perform(lambda run: None).run_id
    assert len(runs.every()) == 2


def killed(settings) -> Run:
    """A run as a kill leaves it."""
    run = Run(settings, job=Job.RETRAIN)
    write.note(run.folder, run.record, during="training")
    (run.folder / ".half.ipynb").write_text("{")
    return run


def test_a_killed_run_is_recorded_by_the_next_and_told(settings, monkeypatch):
    told = []
    monkeypatch.setattr(publish, "tell", lambda event, record: told.append((event, record.run_id)))
    run = killed(settings)
    with protocol.lock(NAMESPACE):
        found = only()
    assert found.record.status == "killed" and "during training" in found.record.headline
    assert found.record.run_id in (paths.outputs() / "index.html").read_text()
    assert "killed" in found.report.read_text()
    assert not list(found.folder.glob(".*"))
    assert told == [("killed", run.run_id)]


def test_a_run_killed_while_its_folder_got_its_name_is_what_it_was(settings):
    run = Run(settings, job=Job.RETRAIN)
    run.record.model_copy(update={"status": Status.KEPT}).write(run.folder / "run.json")
    with protocol.lock(NAMESPACE):
        assert only().record.status == "kept"
    assert (paths.outputs() / "latest").readlink().name == run.run_id


def test_a_folder_without_a_record_is_removed(settings):
    (paths.outputs() / f".20261121T001829Z_{NAMESPACE}").mkdir(parents=True)
    with protocol.lock(NAMESPACE):
        assert not list(paths.outputs().glob(".*"))
    assert runs.every() == []


def sleeper(**marks: str) -> subprocess.Popen:
    code = "import time; print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | marks, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_processes_of_a_killed_run_are_ended_and_no_others(settings):
    run = killed(settings)
    theirs, other = sleeper(**{folder.MARK: str(run.folder)}), sleeper(**{folder.MARK: f"{run.folder}_x"})
    try:
        with protocol.lock(NAMESPACE):
            assert theirs.poll() is not None
        assert other.poll() is None
    finally:
        for process in (theirs, other):
            process.kill()
            process.wait()
            process.stdout.close()


def test_what_a_run_starts_carries_its_folder(perform):
    code = f"import os; print(os.environ[{folder.MARK!r}])"
    said = []

    def work(run: Run) -> None:
        said.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
        said.append(str(run.folder))

    perform(work)
    assert said[0] == said[1] and folder.MARK not in os.environ


WORKERS = """
import os, time
from bq.core.parallel import parallel_map
def work(_):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(600)
parallel_map(work, range(2), description="sleep")
"""


def test_workers_end_with_a_killed_parent():
    environment = os.environ | {"BQ_WORKERS": "2", "PYTHONPATH": str(paths.CHECKOUT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", WORKERS], env=environment, **pipes) as parent:
        workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
    assert not leftovers.wait(workers, 20)


def test_a_second_run_says_that_the_lock_is_held():
    code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]): print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    path = paths.home() / "data" / f".{NAMESPACE}.lock"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes) as other:
        other.stdout.readline()
        with pytest.raises(Locked, match="one run at a time"), protocol.lock(NAMESPACE):
            pass
        other.kill()
    with protocol.lock(NAMESPACE):
        pass


@pytest.fixture
def job(monkeypatch, settings):
    """`make retrain` with work of its own: a function that returns how often work was begun."""
    begun = []

    def work(run: Run, request: object, data: object, collection: object, now: State) -> None:
        begun.append(run.run_id)
        job.work(run)
        row = {"run_id": run.run_id, "finished_utc": run.started, "fingerprint": "", "events": 1, "state": now.plain()}
        row |= {"decision": "kept", "model_id": None, "verdict": {"headline": "kept", "components": []}}
        ledger.attempt(NAMESPACE, **row)

    at = dt.datetime(2020, 1, 3, tzinfo=dt.UTC)
    event = {"variant": "v", "session": at.date(), "t0": at, "t1": at, "t1_due": at, "label": 1.0, "weight": 1.0}

    @contextmanager
    def handed_over(collection: object, data: object, folder: Path) -> Iterator[object]:
        yield lambda: (collection, data)

    monkeypatch.setattr(retrain, "_describe", work)
    monkeypatch.setattr(retrain.store, "handed_over", handed_over)
    monkeypatch.setattr(retrain, "NOTEBOOKS", ())
    monkeypatch.setattr(retrain, "_judge", lambda *_: None)
    monkeypatch.setattr(retrain.store, "market_data", lambda _: SimpleNamespace(data_hash="data"))
    monkeypatch.setattr(retrain.store, "collect", lambda *_: SimpleNamespace(events=pl.DataFrame([event])))
    monkeypatch.setattr(retrain, "describe_market", lambda *_: None)
    monkeypatch.setattr(retrain.mature, "kept_up", lambda *_: [])
    monkeypatch.setattr(retrain, "code_digest", lambda: "code")
    monkeypatch.setattr(retrain.screen, "show", lambda _: None)
    monkeypatch.setattr(retrain.screen, "verdict", lambda *_: "")
    asked = {"strategy": strategies.get("butterfly"), "settings": settings, "force": False, "quick": False}
    request = Request(**{**dict.fromkeys(Request._fields), **asked})

    def job() -> int:
        retrain.main(request)
        return len(begun)

    job.work = lambda run: None
    return job


def test_the_run_after_a_failure_does_its_work(job):
    job.work = fail(BQError("no"))
    with pytest.raises(BQError):
        job()
    job.work = lambda run: None
    assert job() == 2
    assert job() == 2, "and then nothing is new"


def test_the_run_after_one_that_was_killed_at_its_very_end_does_its_work(job):
    assert job() == 1
    last = runs.latest()
    write.note(last.folder, last.record, during="report")
    last.folder.rename(last.folder.with_name(f".{last.folder.name}"))
    assert job() == 2
    assert sorted(run.record.status for run in runs.every()) == ["done", "killed"]


def test_bad_data_is_a_failed_run(job, monkeypatch):
    monkeypatch.setattr(retrain.store, "market_data", fail(BadData("AAPL.csv: high must be >= low.")))
    with pytest.raises(BadData):
        job()
    assert only().record.error == "AAPL.csv: high must be >= low."
    assert "AAPL.csv: high must be" in only().report.read_text()


DAMAGED = {
    "truncated": lambda text: text[: len(text) // 2],
    "a list": lambda text: f"[{text}]",
    "no error key": lambda text: text.replace('"error"', '"errer"'),
    "no status key": lambda text: text.replace('"status"', '"stat"'),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_the_run_after_one_whose_record_was_damaged_does_its_work(job, damage):
    assert job() == 1
    record_file = runs.latest().folder / "run.json"
    record_file.write_text(DAMAGED[damage](record_file.read_text()))
    assert job() == 2
    assert job() == 2, "and then nothing is new"


def test_a_run_with_nothing_new_leaves_nothing(job):
    job()
    before = sorted(paths.outputs().iterdir())
    assert job() == 1
    assert sorted(paths.outputs().iterdir()) == before


@ENDING
def test_a_signal_while_the_market_is_read_is_a_cancelled_run(job, monkeypatch, number):
    monkeypatch.setattr(retrain.store, "market_data", stop(number))
    with pytest.raises(Cancelled):
        job()
    assert (only().record.status, only().record.phases[0].name) == ("cancelled", "market data")
    assert only().record.run_id in (paths.outputs() / "index.html").read_text()


def test_the_user_hears_of_failure_kill_and_deployment(perform, settings, monkeypatch, tmp_path):
    script = tmp_path / "notify.py"
    script.write_text("import os, sys\nopen(sys.argv[1], 'a').write(os.environ['BQ_NOTIFY_EVENT'] + '\\n')")
    monkeypatch.setenv("NOTIFY_CMD", f"{sys.executable} {script} {tmp_path / 'heard'}")
    with pytest.raises(BQError):
        perform(fail(BQError("no")))
    for status in ("deployed", "kept"):
        perform(lambda run, status=status: setattr(run.record, "status", status))
    with pytest.raises(Cancelled):
        perform(stop(signal.SIGTERM))
    killed(settings)
    with protocol.lock(NAMESPACE):
        assert json.dumps((tmp_path / "heard").read_text().split()) == '["failed", "deployed", "killed"]'
