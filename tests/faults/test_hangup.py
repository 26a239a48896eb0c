"""A terminal that is closed ends a run as SIGTERM does; one started with nohup goes on."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from bq.core import files

SECONDS = 60


def record(tmp_path) -> dict:
    (path,) = (tmp_path / "home" / "outputs").glob("2*/run.json")
    return files.read_json(path)


def hang_up(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGHUP)


QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


def test_a_hangup_is_a_cancelled_run(started, tmp_path):
    process = started("training", **QUIET)
    hang_up(process)
    said = process.communicate(timeout=SECONDS)[1].decode()
    assert process.returncode == 130 and "Traceback" not in said
    assert (record(tmp_path)["status"], record(tmp_path)["error"]) == ("cancelled", "SIGHUP")
    assert "cancelled" in said, "its log is a file: it is written on"


def test_a_hangup_during_the_deployment_waits_for_its_end(started, tmp_path):
    process = started("deployment", **QUIET)
    hang_up(process)
    (tmp_path / "go").touch()
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and record(tmp_path)["status"] == "deployed"


@pytest.mark.parametrize(("where", "status"), [("training", "cancelled"), ("deployment", "deployed")])
def test_a_closed_terminal_leaves_a_whole_record(started, tmp_path, where, status):
    ours, theirs = pty.openpty()
    own = [
        "import os, sys, fcntl, termios",
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)",
        "os.execvp(sys.argv[1], sys.argv[1:])",
    ]
    process = started(where, prefix=(sys.executable, "-c", "; ".join(own)), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.close(ours)  # the kernel hangs up the terminal and sends SIGHUP
    (tmp_path / "go").touch() if where == "deployment" else None
    assert process.wait(timeout=SECONDS) == (130 if status == "cancelled" else 0)
    assert record(tmp_path)["status"] == status
    assert record(tmp_path)["error"] == ("SIGHUP" if status == "cancelled" else None)


def test_a_run_under_nohup_goes_on(started, tmp_path):
    process = started("training", prefix=("nohup",), stdin=subprocess.DEVNULL, **QUIET)
    hang_up(process)
    (tmp_path / "go").touch()
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and record(tmp_path)["status"] == "done"
