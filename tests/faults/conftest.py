"""A real run in a process of its own, and the processes of the crash tests."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bq.core import paths

sys.path.insert(0, str(Path(__file__).parent))

from crash_homes import before, well  # noqa: F401

CHILD = Path(__file__).with_name("waiting_child.py")
SECONDS = 60


def _hears() -> None:
    """A hangup is ignored by whatever runs under nohup, and by its children: not by this one."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def started(tmp_path):
    """A function that starts a real run, in a session of its own, and returns its process when it waits in `where`."""
    processes = []

    def start(where: str, *, prefix: tuple[str, ...] = (), variables=None, **options) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT), "BQ_HOME": str(tmp_path / "home")}
        environment |= variables or {}
        for name in ("BQ_DATABASE_URL", "NOTIFY_CMD"):
            environment.pop(name, None)
        command = [*prefix, sys.executable, str(CHILD), where, str(tmp_path / "ready"), str(tmp_path / "go")]
        process = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_hears, **options)
        processes.append(process)
        end = time.monotonic() + SECONDS
        while not (tmp_path / "ready").exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
