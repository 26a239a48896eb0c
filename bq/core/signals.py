"""The signals that end a process in good order: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal was closed)."""

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], Any]
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def handle(handler: Handler) -> dict[signal.Signals, Any]:
    """Install a handler for them; returns the handlers before it.

    Who starts a process with SIGINT or SIGHUP ignored (`nohup`, a script in the background) means it to continue: they
    stay ignored.
    """

    def heard(number: int, frame: Any) -> None:
        if number == signal.SIGHUP:
            _leave_terminal()
        handler(number, frame)

    mine = [one for one in ENDING if one == signal.SIGTERM or signal.getsignal(one) is not signal.SIG_IGN]
    return {one: signal.signal(one, heard) for one in mine}


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """`handle` for as long as the block runs."""
    before = handle(handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _leave_terminal() -> None:
    """Discard further output where it went to a terminal that was closed: writing to it fails."""
    for descriptor in (0, 1, 2):
        try:
            gone = stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor)
        except OSError:
            continue  # closed
        if gone:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
