"""Progress and log: bars on a terminal, plain lines otherwise."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bq.core.secrets import redact

log = logging.getLogger("bq")
T = TypeVar("T")


class _Plain(logging.Formatter):
    """Lines without secrets and without what a terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as the formatter makes it, secrets redacted."""
        return printable(redact(super().format(record)))


def printable(text: str, *, keep: str = "\n") -> str:
    """The text with `�` for each character that a terminal would obey or hide instead of showing it.

    >>> printable("\x1b[2JEVIL")
    '�[2JEVIL'
    """
    return "".join(char if char.isprintable() or char in keep else "�" for char in text)


def configure() -> None:
    """Send `bq`'s log to standard error: bare messages on a terminal, stamped lines elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    stamped = "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(_Plain("%(message)s" if sys.stderr.isatty() else stamped, "%Y-%m-%dT%H:%M:%S%z"))
    log.handlers[:] = [handler]
    level = os.environ.get("BQ_LOG", "").upper()
    log.setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
    log.propagate = False
    for library in ("papermill", "asyncio", "traitlets"):  # a killed kernel is reported by us
        logging.getLogger(library).setLevel(logging.CRITICAL)


def progress(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Iterate with a progress bar on a terminal or in Jupyter, silently otherwise (`TQDM_DISABLE=1` too)."""
    from tqdm import tqdm  # not tqdm.auto: without ipywidgets it warns, and draws the same

    if _in_a_kernel():
        shape = {"ncols": 100, "file": _Cell(), "mininterval": 0.5}
        yield from tqdm(items, total=total, desc=description, leave=False, **shape)
        return
    size = shutil.get_terminal_size()  # 80 × 24 where a terminal says 0, on which tqdm would draw nothing
    shape = {"ncols": min(size.columns, 100), "nrows": size.lines}
    quiet = True if not sys.stderr.isatty() else None
    yield from tqdm(items, total=total, desc=description, disable=quiet, leave=False, **shape)


def _in_a_kernel() -> bool:
    """Whether this process is a notebook's kernel, and not one that has merely imported its parts."""
    shell = sys.modules.get("IPython")
    return "ipykernel" in sys.modules and shell is not None and shell.get_ipython() is not None


class _Cell:
    """A line below a notebook's cell, written over again and again; once it is blank nothing stays there."""

    def __init__(self) -> None:
        self._line = sys.modules["IPython"].display.display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        """Show this line instead, as tqdm writes it: with `\r` before it, blanks to wipe it out."""
        line = text.strip()
        self._line.update({"text/plain": line} if line else {}, raw=True)

    def flush(self) -> None:
        """Nothing waits."""


@contextmanager
def only_errors() -> Iterator[None]:
    """Log nothing but errors, unless BQ_LOG=DEBUG: for work that repeats a job hundreds of times and reports on it."""
    before = log.level
    log.setLevel(before if before == logging.DEBUG else logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def stage(name: str, seconds: dict[str, float] | None = None) -> Iterator[None]:
    """Log the start and the duration of one stage; `seconds[name]` keeps the duration."""
    log.info("%s …", name)
    start = time.perf_counter()
    yield
    elapsed = time.perf_counter() - start
    if seconds is not None:
        seconds[name] = round(elapsed, 2)
    log.info("%s: %.1f s", name, elapsed)
