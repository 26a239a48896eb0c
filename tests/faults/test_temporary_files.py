"""What a run keeps in the system's temporary folders is gone with it, also when it was killed."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bq import strategies
from bq.core import files, params, paths
from bq.core.namespace import Namespace
from bq.jobs.run import leftovers, protocol, temporary
from bq.runs import folder as names

NAMESPACE = Namespace.parse("butterfly")
ROOTS = ("TMPDIR", "JOBLIB_TEMP_FOLDER")


@pytest.fixture(autouse=True)
def roots(tmp_path, monkeypatch):
    """Temporary folders of this test alone, short enough for sockets of its children, and a home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    for name in ("BQ_DATABASE_URL", "NOTIFY_CMD"):
        monkeypatch.delenv(name, raising=False)
    short = tempfile.TemporaryDirectory(prefix="bq-t-", dir="/tmp")
    found = {name: Path(short.name) / name for name in ROOTS}
    for name, folder in found.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(temporary, "LONGEST", 1000)  # the folder of a test may be longer than any user's
    monkeypatch.setattr(protocol, "git_state", dict)
    yield found
    short.cleanup()


@pytest.fixture
def settings():
    return params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)


def inside(roots) -> dict[str, list[Path]]:
    return {name: list(folder.iterdir()) for name, folder in roots.items()}


def test_what_a_run_starts_keeps_its_temporary_files_in_folders_that_go_with_it(settings, roots):
    seen = {}

    def work(run):
        seen.update(inside(roots))
        code = "import os, tempfile; print(tempfile.mkdtemp(), os.environ['JOBLIB_TEMP_FOLDER'])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seen["made"] = [Path(word) for word in done.stdout.split()]
        seen["here"] = Path(tempfile.mkdtemp())

    protocol.perform(protocol.Run(settings, job="retrain"), work)
    ((own,), (shared,)) = seen["TMPDIR"], seen["JOBLIB_TEMP_FOLDER"]
    assert [seen["made"][0].parent, seen["here"].parent, seen["made"][1]] == [own, own, shared]
    assert inside(roots) == {name: [] for name in ROOTS}
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(roots["TMPDIR"])


def test_a_killed_run_s_temporary_files_are_swept_by_the_next_and_no_others(started, roots, monkeypatch):
    process = started("training", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = inside(roots)["TMPDIR"]
    assert list(left.iterdir()) and inside(roots)["JOBLIB_TEMP_FOLDER"]
    other = roots["TMPDIR"] / "bq-run-0123abcd"  # of a run of another namespace, or of nobody
    other.mkdir()
    monkeypatch.setenv("TMPDIR", "/nowhere")  # where the next run keeps its own is of no matter
    with protocol.lock(NAMESPACE):
        assert inside(roots) == {"TMPDIR": [other], "JOBLIB_TEMP_FOLDER": []}


@pytest.mark.parametrize("named", ["precious", ".", "bq-run-0123abcd/../precious", "bq-run-0123ABCD"])
def test_a_damaged_list_of_folders_removes_nothing_else(tmp_path, named):
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / temporary.NAMES).write_text(f"{tmp_path / named}\n")
    temporary.remove(tmp_path)
    assert precious.is_dir()


def test_a_link_in_the_place_of_a_temporary_folder_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "bq-run-0123abcd").symlink_to(precious)
    (tmp_path / temporary.NAMES).write_text(f"{tmp_path / 'bq-run-0123abcd'}\n")
    temporary.remove(tmp_path)
    assert precious.is_dir()


def test_a_temporary_folder_too_long_for_sockets_is_said_and_another_used(tmp_path, monkeypatch, caplog):
    monkeypatch.undo()
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setattr(temporary.log, "propagate", True)
    with temporary.of(tmp_path):
        folder = Path(tempfile.mkdtemp(prefix="bq-"))
        with socket.socket(socket.AF_UNIX) as kernel:
            kernel.bind(str(folder / "k-1"))
    assert folder.parent.parent == temporary.SHORT and not folder.parent.exists()
    assert f"TMPDIR must be at most {temporary.LONGEST} bytes long" in caplog.text and list(long.iterdir()) == []


def test_trackers_of_a_killed_run_free_what_they_track_before_they_are_ended(tmp_path):
    mark = {names.MARK: str(tmp_path)}
    wait = "import os, sys; print(flush=True); sys.stdin.read(); open(sys.argv[2], 'w')"
    worker = "import time; print(flush=True); time.sleep(600)"
    read, write = os.pipe()
    started = [
        subprocess.Popen([sys.executable, "-c", code, *more], env=os.environ | mark, stdout=subprocess.PIPE, **options)
        for code, more, options in (
            (worker, [], {"pass_fds": [write]}),
            (wait, ["resource_tracker", str(tmp_path / "freed")], {"stdin": read}),
        )
    ]
    os.close(read), os.close(write)
    for process in started:
        process.stdout.readline()
    leftovers._end_processes(tmp_path)
    for process in started:
        process.wait()
        process.stdout.close()
    assert (tmp_path / "freed").exists()


def test_where_nothing_temporary_can_be_made_the_run_fails_with_one_sentence(settings, roots, monkeypatch):
    monkeypatch.setattr(temporary, "_root", lambda: paths.home() / "outputs" / "index.html")
    files.write_text(paths.home() / "outputs" / "index.html", "a file")
    with pytest.raises(NotADirectoryError):
        protocol.perform(protocol.Run(settings, job="retrain"), lambda run: None)
    assert inside(roots) == {name: [] for name in ROOTS}
