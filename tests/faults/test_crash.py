"""A fault at every call that changes state: what is there afterwards is old or new and whole, and the next time heals.

Faults come from outside the process through strace where that may be used, and in pure Python everywhere. Every
STRIDE-th call is tried, and a whole run (slow to import) in pure Python only; `make crash` tries every call in both, in
PARTS: one that was stopped goes on with `-k "cycle-KILL and part3"`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from functools import lru_cache

import polars as pl
import pytest
from crash_checks import CHECKS, HEALED
from crash_child import BASE, FAILED
from crash_homes import child

from bq.core import files, paths

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
STRIDE = (
    {}
    if ALL
    else {
        "deploy": 3,
        "retire": 3,
        "write_state": 2,
        "publish": 9,
        "scan": 6,
        "mature": 3,
        "check_drift": 9,
        "cycle": 60,
        "retrain": 140,
    }
)
PARTS = 5 if ALL else 1
SLOW = ("retire", "publish", "scan", "mature", "check_drift", "cycle", "retrain")  # under a tracer
LEAST = {"strace": 15, "python": 12}  # calls of any work; what SQLite does to its files is seen from outside alone


@lru_cache
def strace() -> str | None:
    """The tracer, where it is there and allowed to trace."""
    found = shutil.which("strace")
    works = found and subprocess.run([found, "-f", "-o", os.devnull, "true"], capture_output=True).returncode == 0
    return found if works else None


def tracer(work: str, *expressions: str) -> list[str]:
    """strace with these expressions; {} in them is the list of calls (of a run without openat: importing it opens)."""
    calls = CALLS if work in SLOW else f"{CALLS},openat"
    filters = [part for expression in expressions for part in ("-e", expression.format(calls))]
    return [strace(), "-f", "-qq", "--seccomp-bpf", "-y", *filters]


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


CASES = [
    pytest.param(form, work, fault, part, id=f"{work}-{fault}-{form}{f'-part{part}' if ALL else ''}")
    for work in CHECKS
    for form in ("strace", "python")
    for fault in FAULTS
    for part in range(PARTS)
    if ALL or form != "strace" or work not in SLOW
]


@pytest.mark.parametrize(("form", "work", "fault", "part"), CASES)
def test_a_fault_at_any_change_leaves_old_or_new_whole_and_the_next_time_heals(
    well, before, points, tmp_path, monkeypatch, record_property, form, work, fault, part
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
        for place, (call, number) in enumerate(chosen[:: STRIDE.get(work, 1)][part::PARTS]):
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
