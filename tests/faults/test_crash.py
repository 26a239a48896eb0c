"""A fault at every call that changes state: what is there afterwards is old or new and whole, and the next time heals.

Faults come from outside the process through strace where that may be used, and in pure Python everywhere. Every
STRIDE-th call is tried, and a whole run (slow to import) in pure Python only; `make crash` tries every call in both.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path

import polars as pl
import pytest
from crash_child import BASE, BUG, DECIDED, DUE, FAILED, NAMESPACE, SCANNED, artefact, world

from bq.core import files, paths
from bq.monitoring import drift
from bq.serving import registry

CHILD = Path(__file__).with_name("crash_child.py")
CALLS = (
    "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,"
    "mkdirat,rmdir,truncate,ftruncate,chmod,fchmod,fchmodat"
)
FAULTS = {  # a full disk stays full; a disk error may pass
    "KILL": f"inject={{}}:signal=KILL:when={BASE}",
    "ENOSPC": f"inject={{}}:error=ENOSPC:when={BASE}+",
    "EIO": f"inject={{}}:error=EIO:when={BASE}",
}
ALL = os.environ.get("BQ_CRASH") == "all"
STRIDE = {} if ALL else {"deploy": 3, "write_state": 2, "publish": 9, "scan": 6, "mature": 3, "check_drift": 9}
SLOW = ("publish", "scan", "mature", "check_drift")  # under a tracer
LEAST = {"strace": 15, "python": 12}  # calls of any work; what SQLite does to its files is seen from outside alone


@lru_cache
def strace() -> str | None:
    """The tracer, where it is there and allowed to trace."""
    found = shutil.which("strace")
    works = found and subprocess.run([found, "-f", "-o", os.devnull, "true"], capture_output=True).returncode == 0
    return found if works else None


@contextmanager
def child(work: str, *prefix: str):
    """A function that has a task done by the process under test, and returns its pid and exit code."""
    environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("BQ_DATABASE_URL", None)
    command = [*prefix, sys.executable, str(CHILD), work]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:

        def do(**task: object) -> dict:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer or json.loads(answer)["code"] == BUG:
                process.stdin.close()
                pytest.fail(f"{task}: {process.stderr.read()}")
            return json.loads(answer)

        yield do
        process.stdin.close()


def tracer(work: str, *expressions: str) -> list[str]:
    """strace with these expressions; {} in them is the list of calls (of a run without openat: importing it opens)."""
    calls = CALLS if work in SLOW else f"{CALLS},openat"
    filters = [part for expression in expressions for part in ("-e", expression.format(calls))]
    return [strace(), "-f", "-qq", "--seccomp-bpf", "-y", *filters]


@pytest.fixture(scope="module")
def well(request):
    """For each work, a process that no tracer hurts."""

    @lru_cache
    def started(work: str):
        manager = child(work)
        request.addfinalizer(lambda: manager.__exit__(None, None, None))
        return manager.__enter__()

    return started


@pytest.fixture(scope="module")
def before(well, tmp_path_factory):
    """For each work, a home in which it was done once."""

    @lru_cache
    def made(work: str) -> Path:
        home = tmp_path_factory.mktemp("before") / "home"
        home.mkdir()
        assert well(work)(work=work, home=str(home), name="old")["code"] == 0
        return home

    return made


@pytest.fixture(scope="module")
def points(well, before, tmp_path_factory):
    """For each form and work, every call that changes state below the home: (kind, its number)."""

    @lru_cache
    def found(form: str, work: str) -> list[tuple[str, int]]:
        folder = tmp_path_factory.mktemp("points")
        home, log = shutil.copytree(before(work), folder / "home", symlinks=True), folder / "log"
        if form == "python":
            assert well(work)(work=work, home=str(home), name="new", listed=str(log))["code"] == 0
            lines = [line.split() for line in log.read_text().splitlines()]
            return [(kind, int(number)) for number, kind in lines]
        with child(work, *tracer(work, "trace={}"), "-o", str(log)) as do:
            pid = do(work=work, home=str(home), name="new")["pid"]
        lines = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines() if line.startswith(f"{pid} ")]
        return _changes([line for line in lines if "resumed>" not in line], str(home))

    return found


def _changes(lines: list[str], home: str) -> list[tuple[str, int]]:
    counts, chosen = {}, []
    for line in lines:
        if not (match := re.match(r"(\w+)\(", line)):
            continue  # a signal, or the end of the process
        call = match[1]
        counts[call] = counts.get(call, 0) + 1
        if home in line and (call != "openat" or re.search("O_CREAT|O_TRUNC", line)):
            chosen.append((call, counts[call]))
    return chosen


def check_deploy(home: Path, monkeypatch) -> None:
    monkeypatch.setenv("BQ_HOME", str(home))
    model = registry.champion(NAMESPACE)
    assert model in (artefact("old"), artefact("new"))
    with sqlite3.connect(home / "data" / "bq.db") as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        journal = connection.execute("select model_id, previous from deployments order by id").fetchall()
    old, new = artefact("old").model_id, artefact("new").model_id
    assert journal in ([(old, None)], [(old, None), (new, old)])
    assert model.model_id in {row[0] for row in journal}


def heal_deploy(home: Path) -> None:
    assert registry.champion(NAMESPACE) == artefact("next")
    assert not list(paths.models(NAMESPACE).glob(".*"))


def check_write_state(home: Path, _) -> None:
    state = files.read_json(home / "state.json")
    assert state in [{"name": name, "long": [name] * 500} for name in ("old", "new")]
    page = (home / "new folder" / "page.html").read_text()
    assert page in [f"{name * 5000}</html>" for name in ("old", "new")]


def heal_write_state(home: Path) -> None:
    assert files.read_json(home / "state.json")["name"] == "next"
    assert not list(home.glob(".*"))


def check_publish(home: Path, _) -> None:
    outputs = home / "outputs"
    assert (outputs / "index.html").read_text().rstrip().endswith("</html>")
    assert files.read_json(outputs / "latest" / "run.json")["status"] == "done"
    for folder in outputs.glob("[0-9]*"):
        info = files.read_json(folder / "run.json")
        assert info["status"] in ("done", "failed")
        assert info["error"] or (folder / "report.html").read_text() == "report</html>"


def heal_publish(home: Path) -> None:
    outputs = home / "outputs"
    assert not list(outputs.glob(".*"))
    records = [files.read_json(folder / "run.json") for folder in sorted(outputs.glob("[0-9]*"))]
    assert {info["status"] for info in records} <= {"done", "failed", "killed"}
    newest = records[-1]
    assert newest["status"] == "done" and (outputs / "latest").readlink().name == newest["run_id"]
    reported = [info["run_id"] for info in records if (outputs / info["run_id"] / "report.html").is_file()]
    assert all(run_id in (outputs / "index.html").read_text() for run_id in reported)


def rows(home: Path, query: str) -> list[tuple]:
    with sqlite3.connect(home / "data" / "bq.db") as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return connection.execute(query).fetchall()


def sessions(*names: str) -> list[tuple[str, int]]:
    """A scan of each, with both symbols."""
    _, _, _, days = world()
    return [(str(days[SCANNED[name]]), 2) for name in names]


SCANS = "select s.session, count(*) from scans s join decisions using (scan_id) group by scan_id order by scan_id"


def check_scan(home: Path, _) -> None:
    assert rows(home, SCANS) in (sessions("old"), sessions("old", "new"))
    assert rows(home, "select count(*) from scans") == [(len(rows(home, SCANS)),)]
    for file in (home / "outputs" / "scans").glob("[0-9]*.parquet"):
        assert len(pl.read_parquet(file)) == 2


def heal_scan(home: Path) -> None:
    found = rows(home, SCANS)
    assert found in (sessions("old", "next"), sessions("old", "new", "next"))
    written = [file.name[:10] for file in sorted((home / "outputs" / "scans").glob("[0-9]*.html"))]
    assert {sessions(name)[0][0] for name in ("old", "next")} <= set(written)


@lru_cache
def came_to(name: str) -> list[tuple]:
    """Event and outcome of all decisions that are due by then, as the strategy builds them."""
    strategy, settings, market, days = world()
    wanted = {symbol: [days[place] for place in DECIDED] for symbol in market.bars["symbol"].unique()}
    built = strategy.table.build(market, settings, wanted).events
    due = built.filter(pl.col("t1_due").dt.date() <= days[DUE[name]]).sort("event_id")
    return due.select("event_id", pl.lit(0), "outcome").rows()


OUTCOMES = "select event_id, revision, outcome from outcomes order by event_id, revision"


def check_mature(home: Path, _) -> None:
    assert len(came_to("old")) < len(came_to("new")) < len(came_to("next"))
    assert rows(home, OUTCOMES) in (came_to("old"), came_to("new"))
    for state in (home / "data" / "matured").glob("[a-z]*.json"):
        assert files.read_json(state)["data_hash"] in ("old", "new")


def heal_mature(home: Path) -> None:
    assert rows(home, OUTCOMES) == came_to("next")
    (state,) = (home / "data" / "matured").glob("[a-z]*.json")
    assert files.read_json(state)["data_hash"] == "next"


def days_checked(home: Path) -> tuple[list[str], list[str]]:
    """Days with checks of drift, and of performance: each has all kinds once."""
    days: dict[str, list[str]] = {}
    for what, day in rows(home, "select what, day from checks order by what, day"):
        days.setdefault(what, []).append(day)
    assert set(drift.KINDS) < set(days)
    of_drift = {tuple(found) for what, found in days.items() if what in drift.KINDS}
    of_performance = {tuple(found) for what, found in days.items() if what not in drift.KINDS}
    assert (len(of_drift), len(of_performance)) == (1, 1), days
    return list(*of_drift), list(*of_performance)


def alerts(home: Path) -> dict[str, bool]:
    """Whether the alert of each kind is open; each is of one check, which is there and of its kind."""
    kinds = {number: f"drift.{what}" for number, what in rows(home, "select id, what from checks")}
    found = rows(home, "select kind, closed_utc is null, check_ids from alerts")
    assert all([kinds[number] for number in json.loads(named)] == [kind] for kind, _, named in found)
    assert len(dict(row[:2] for row in found)) == len(found)
    return {kind: bool(is_open) for kind, is_open, _ in found}


OPENED = {"drift.error_cusum": True, "drift.error_eprocess": True}


def check_check_drift(home: Path, _) -> None:
    drifted, performed = days_checked(home)
    assert (len(drifted), len(performed)) in ((1, 1), (2, 1), (2, 2))
    found = alerts(home)
    changed = not found.pop("drift.input") or found
    assert len(drifted) == 2 or not changed
    assert found.items() <= OPENED.items()


def heal_check_drift(home: Path) -> None:
    assert [len(days) for days in days_checked(home)] == [2, 2]
    assert alerts(home) == {"drift.input": False, **OPENED}


CHECKS = {
    "deploy": check_deploy,
    "write_state": check_write_state,
    "publish": check_publish,
    "scan": check_scan,
    "mature": check_mature,
    "check_drift": check_check_drift,
}
HEALED = {
    "deploy": heal_deploy,
    "write_state": heal_write_state,
    "publish": heal_publish,
    "scan": heal_scan,
    "mature": heal_mature,
    "check_drift": heal_check_drift,
}


CASES = [
    pytest.param(form, work, fault, id=f"{work}-{fault}-{form}")
    for work in CHECKS
    for form in ("strace", "python")
    for fault in FAULTS
    if ALL or form != "strace" or work not in SLOW
]


@pytest.mark.parametrize(("form", "work", "fault"), CASES)
def test_a_fault_at_any_change_leaves_old_or_new_whole_and_the_next_time_heals(
    well, before, points, tmp_path, monkeypatch, record_property, form, work, fault
):
    if form == "strace" and not strace():
        pytest.skip("strace is not installed or not allowed to trace: only the pure Python form runs")
    chosen = points(form, work)
    assert len(chosen) >= LEAST[form]
    record_property("calls", len(chosen))
    outside = (
        child(work, *tracer(work, FAULTS[fault]), "-o", os.devnull) if form == "strace" else nullcontext(well(work))
    )
    with outside as hurt:
        for place, (call, number) in enumerate(chosen[:: STRIDE.get(work, 1)]):
            home = shutil.copytree(before(work), tmp_path / f"{place}-{call}-{number}", symlinks=True)
            task = {"work": work, "home": str(home)}
            answer = hurt(**task, name="new", form=form, fault=fault, call=call, n=number)
            expected = [-9] if fault == "KILL" else [0, FAILED]
            assert answer["code"] in expected, (call, number)
            CHECKS[work](home, monkeypatch)
            assert well(work)(**task, name="next")["code"] == 0, (call, number)
            HEALED[work](home)


TORN = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from bq.core import files
signal.signal(signal.SIGXFSZ, signal.SIG_DFL if sys.argv[2] == "killed" else signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_parquet(Path(sys.argv[1]), pl.DataFrame({"a": range(100_000)}))
except OSError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(("end", "code", "said"), [("killed", -signal.SIGXFSZ, ""), ("refused", 1, "File too large")])
def test_a_parquet_file_that_is_torn_after_1000_bytes_leaves_the_old_table(tmp_path, end, code, said):
    path, old = tmp_path / "table.parquet", pl.DataFrame({"a": [1]})
    files.write_parquet(path, old)
    command = [sys.executable, "-c", TORN, str(path), end]
    done = subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert pl.read_parquet(path).equals(old)
    files.clean(tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == ["table.parquet"]
