"""A pipe, a folder, a link or nonsense in place of a file of ours: one sentence, nothing hangs; umask is respected."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bq import runs
from bq.core import files, paths
from bq.core.errors import BadData, BQError
from bq.core.namespace import Namespace
from bq.jobs import history, housekeeping, request, status
from bq.runs import folder as names
from bq.runs import write
from bq.serving import ready, registry
from tests import stored

TOY, RUN = Namespace.parse("butterfly"), "20260101T000000Z_butterfly"


@pytest.fixture(autouse=True)
def no_hang():
    """A test that waits for a pipe ends with an error."""

    def late(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a champion, a run and the link to it."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "STRATEGY", "PARAMS", "SET", "RUN"):
        monkeypatch.delenv(name, raising=False)
    registry.deploy(TOY, stored.artefact(strategy="butterfly"), reason="test")
    folder = paths.outputs() / RUN
    folder.mkdir(parents=True)
    stored.run_record(RUN, namespace="butterfly").write(folder / names.RECORD)
    write.move_latest(folder)
    return tmp_path


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


def device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def deep(path):
    path.write_text("[" * 100_000 + "]" * 100_000)


def list_in_place_of_text(path):
    path.write_text(json.dumps({name: [[]] for name in json.loads(path.read_text())}))


KINDS = (pipe, folder, loop, device, deep, list_in_place_of_text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("what", ["pointer", "manifest", "bundle", "record"])
def test_an_odd_file_is_a_sentence_and_never_whole(home, capsys, kind, what):
    model = paths.models(TOY) / registry.pointer(TOY).model_id
    kind(
        {
            "pointer": paths.models(TOY) / "champion.json",
            "manifest": model / "manifest.json",
            "bundle": model / "bundle.json",
            "record": paths.outputs() / RUN / names.RECORD,
        }[what]
    )
    asked = request.read()
    status.main(asked)
    history.main(asked)
    with pytest.raises(BadData) as caught:
        housekeeping.verify(asked)
    assert "Traceback" not in str(caught.value)
    assert str(ready.decides(TOY)) == "rule score"


def test_reading_a_file_of_ours_never_waits(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (
        files.read_bytes,
        files.read_json,
        files.read_parquet,
        files.scan_parquet,
        files.read_csv,
        files.sha256,
    ):
        with pytest.raises(OSError, match="no regular file"):
            read(tmp_path / "pipe")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_what_is_written_has_no_right_that_the_umask_takes(tmp_path, monkeypatch, mask):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    before = os.umask(mask)
    try:
        files.write_text(tmp_path / "file", "x")
        model = registry.store(stored.artefact(), paths.models(TOY))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "file", model, model / "model.onnx")}
    assert list(modes.values()) == [0o644 & ~mask, 0o755 & ~mask, 0o666 & ~mask]


def test_a_folder_in_place_of_the_link_to_the_newest_run_stays_and_is_said(home, caplog):
    names.latest().unlink()
    names.latest().mkdir()
    (names.latest() / names.RECORD).write_text("{}")
    write.move_latest(paths.outputs() / RUN)
    assert names.latest().is_dir() and "must be a link to the newest run" in caplog.text
    assert [run.folder.name for run in runs.every()] == [RUN]
    assert not list(paths.outputs().glob(".latest*"))


def test_a_link_that_a_killed_run_was_about_to_move_goes_with_the_next(home):
    for left in (".latest.link.tmp", ".latest.77.link.tmp"):  # of this version, of an earlier one
        (paths.outputs() / left).symlink_to("another")
    write.move_latest(paths.outputs() / RUN)
    assert names.latest().readlink().name == RUN
    assert not list(paths.outputs().glob(".latest*"))


def test_a_run_folder_without_its_record_is_named_by_verify(home, monkeypatch):
    (paths.outputs() / RUN / names.RECORD).unlink()
    with pytest.raises(BadData, match=f"run {RUN}: run.json must be readable"):
        housekeeping.verify(request.read())


def test_hashes_of_files_outside_a_run_are_refused(home):
    path = paths.outputs() / RUN / names.RECORD
    outside = {"../../models/butterfly/champion.json": files.sha256(paths.models(TOY) / "champion.json")}
    files.write_json(path, files.read_json(path) | {"tables": outside})
    with pytest.raises(BadData, match="must give hashes of the run's own files"):
        housekeeping.verify(request.read())


EXHAUSTED = {  # limit: a command that meets it after its libraries are loaded, as a table that does not fit
    "memory": """
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 22), resource.RLIM_INFINITY))
    for size in (1 << 20, 1 << 12, 1 << 6):  # to the last byte
        try:
            while True:
                held.append(bytearray(size))
        except MemoryError:
            continue
    held.append(bytearray(1 << 20))
""",
    "files": """
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    while True:
        held.append(open(sys.executable, "rb"))
""",
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="what a process holds is read from /proc")
@pytest.mark.parametrize(
    ("work", "remedy"), [*zip(EXHAUSTED.values(), ("ulimit -v", "ulimit -n"), strict=True)], ids=EXHAUSTED
)
def test_a_limit_of_the_shell_is_a_sentence(work, remedy):
    program = (
        f"import resource, sys\nfrom bq.__main__ import guarded\nheld = []\ndef work():{work}\nsys.exit(guarded(work))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert f"raise `{remedy}`" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_rollback_from_an_odd_pointer_goes_by_the_journal(home):
    pipe(paths.models(TOY) / "champion.json")
    assert registry.rollback(TOY) == registry.NONE
    with pytest.raises(BQError, match="a model must be deployed"):
        registry.rollback(TOY)
