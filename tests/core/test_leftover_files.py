"""What a killed process was about to write is removed; what a live one writes is not."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bq.core import files, paths

WRITES = """
import sys
from pathlib import Path
from bq.core import files
with files.replacing(Path(sys.argv[1])) as temporary:
    print(temporary, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is about to write `tmp_path / "a"`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT)}
    with subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path / "a")], env=environment, **pipes) as process:
        yield process
        process.kill()


def test_a_temporary_file_stays_while_it_is_written(tmp_path, writer):
    temporary = Path(writer.stdout.readline().strip())
    files.clean(tmp_path)
    assert list(tmp_path.iterdir()) == [temporary]
    writer.communicate("go on\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"] and writer.returncode == 0


def test_a_temporary_file_goes_with_its_process_though_nobody_reaps_that(tmp_path, writer):
    temporary = Path(writer.stdout.readline().strip())
    writer.kill()
    while psutil.Process(writer.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    files.clean(tmp_path)
    assert not temporary.exists()


def test_a_temporary_file_goes_though_its_processs_number_is_given_anew(tmp_path):
    (tmp_path / f".a.parquet.{os.getpid()}.x1_y.tmp").touch()
    files.clean(tmp_path)
    assert not list(tmp_path.iterdir())


def test_hidden_files_that_nobody_was_about_to_move_stay(tmp_path):
    (tmp_path / ".notes.tmp").touch()
    (tmp_path / ".latest.1.link.tmp").symlink_to(".notes.tmp")  # of a run of an earlier version: `write.remove_links`
    files.clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".latest.1.link.tmp", ".notes.tmp"]


def test_a_file_that_was_taken_for_a_leftover_as_it_was_begun_is_begun_again(tmp_path, monkeypatch):
    taken, real = [True], fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        if taken and taken.pop():
            files.clean(tmp_path)
        real(descriptor, operation)

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with files.replacing(tmp_path / "a") as temporary:
        assert not taken
        files.clean(tmp_path)
        assert temporary.exists()
