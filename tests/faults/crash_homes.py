"""The processes under test, and for each work a home in which it was done once."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pytest
from crash_child import BUG

from bq.core import paths

CHILD = Path(__file__).with_name("crash_child.py")


@contextmanager
def child(work: str, *prefix: str) -> Iterator[Callable[..., dict]]:
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


def one_a_work(request):
    """For each work a process, which ends with the fixture that asks."""

    @lru_cache
    def started(work: str):
        manager = child(work)
        request.addfinalizer(lambda: manager.__exit__(None, None, None))
        return manager.__enter__()

    return started


@pytest.fixture(scope="session")
def well(request):
    """For each work, a process that no tracer hurts."""
    return one_a_work(request)


@pytest.fixture(scope="session")
def before(well, tmp_path_factory):
    """For each work, a home in which it was done once."""

    @lru_cache
    def made(work: str) -> Path:
        home = tmp_path_factory.mktemp("before") / "home"
        home.mkdir()
        assert well(work)(work=work, home=str(home), name="old")["code"] == 0
        return home

    return made
