"""Every foreseeable end has its exit code and one sentence, without a traceback."""

import errno
import os
import re
import signal
import sys
import types

import pytest

from bq import __main__ as program
from bq.core.errors import BadData, BadParameters, BQError, Locked, TemporalOverlap

ENDS = {
    "done": (None, 0),
    "failed": (BQError("it must hold."), 1),
    "locked": (Locked("it must hold."), 3),
    "parameters": (BadParameters("it must hold."), 4),
    "overlap": (TemporalOverlap("it must hold."), 4),
    "data": (BadData("it must hold."), 5),
    "full-disk": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/table.parquet"), 1),
    "disk-error": (OSError(errno.EIO, os.strerror(errno.EIO)), 1),
    "read-only": (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"), 1),
    "ctrl-c": (KeyboardInterrupt(), 130),
}


@pytest.fixture
def run(monkeypatch):
    """Run the program on a target that does this."""
    ending = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in ending}
    for number in ending[1:]:
        signal.signal(number, signal.default_int_handler)  # a shell may have had it ignored

    def go(work) -> int:
        module = types.ModuleType("bq.jobs.toy")
        module.main = lambda _: work()
        monkeypatch.setitem(sys.modules, "bq.jobs.toy", module)
        monkeypatch.setitem(program.TARGETS, "toy", ("toy", "main"))
        return program.main(["toy"])

    yield go
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("end", ENDS)
def test_each_end_has_its_exit_code_and_one_sentence(run, capsys, end):
    error, code = ENDS[end]

    def work():
        if error:
            raise error

    assert run(work) == code
    said = capsys.readouterr().err
    assert said.count("\n") == (0 if code == 0 else 1) and "Traceback" not in said


def test_a_full_disk_is_said_with_the_file_and_what_to_do(run, capsys):
    def work():
        raise ENDS["full-disk"][0]

    run(work)
    said = capsys.readouterr().err
    assert re.search(r"/x/table.parquet: must be .*No space left on device\. Free some space", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_a_signal_before_there_is_a_run_exits_with_130(run, number):
    assert run(lambda: os.kill(os.getpid(), number)) == 130


def test_each_code_is_documented():
    for code in {code for _, code in ENDS.values()}:
        assert re.search(rf"\b{code} \w", program.__doc__)
