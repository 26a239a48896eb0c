"""Peers that do not belong in the lock: they live in the bench's own environment and answer over a pipe."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bq.core import paths
from bq.core.errors import BQError
from bq.core.log import log

REQUIREMENTS = (
    "vollib==1.0.11",  # py_vollib under its present name; needs numpy, pandas and scipy, which come with it
    "evidently==0.7.23",
    "pandas<3",  # evidently imports what later ones have no more
)
NAMED = " and ".join(REQUIREMENTS[:2])
INSTALL_SECONDS = 600


class NotMeasured(BQError):
    """A row cannot be measured here; the message says why."""


class Peer:
    """A process in the bench's environment that answers one JSON line with one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, task: str, **values: Any) -> Any:
        """Have it do `task` and return its answer. Raises NotMeasured if it ended instead."""
        try:
            self._process.stdin.write(json.dumps({"task": task, **values}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise NotMeasured(f"the peer must answer to {task!r}, but ended: {self._last_words()}")
        return json.loads(answer)

    def _last_words(self) -> str:
        self._process.wait()
        return (self._process.stderr.read().strip().splitlines() or ["without a word"])[-1]


@contextmanager
def running(name: str) -> Iterator[Peer]:
    """A peer, vollib or evidently, running. Raises NotMeasured with why it cannot be installed or started."""
    script = Path(__file__).with_name(f"{name}_peer.py")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [str(interpreter()), "-W", "ignore", "-P", str(script)]  # -P: the bench's modules are not on its path
    with subprocess.Popen(command, text=True, encoding="utf-8", **pipes) as process:
        try:
            yield Peer(process)
        finally:
            process.kill()


def interpreter() -> Path:
    """Python of the bench's own environment, which is made on first use. Raises NotMeasured where that fails."""
    folder = paths.CHECKOUT / ".venv-bench"
    python, ready = folder / "bin" / "python", folder / ".ready"
    stamp = f"{REQUIREMENTS} {platform.python_version()}"
    if python.exists() and ready.is_file() and ready.read_text() == stamp:
        return python
    log.info("bench: setting up %s with %s, once", folder.name, NAMED)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n")
        _do(sys.executable, "-m", "venv", str(folder))
        _do(str(python), "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15", *REQUIREMENTS)
        ready.write_text(stamp)
    except OSError as error:
        raise NotMeasured(f"{folder.name} could not be made: {error.strerror}") from None
    return python


def _do(*command: str) -> None:
    """Run one step of the installation; its error is what it said last of one."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"{NAMED} could not be installed within {INSTALL_SECONDS} s") from None
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        reason = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
        raise NotMeasured(f"{NAMED} could not be installed: {reason}")
