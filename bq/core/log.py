"""Progress and log: bars on a terminal, plain lines otherwise."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, Any, TextIO, TypeVar

from bq.core.secrets import redact

log = logging.getLogger("bq")
T = TypeVar("T")
LINE_SECONDS = 30.0  # from one line of progress in a log to the next
LINE = "{desc}: {n_fmt} of {total_fmt}, {remaining} left"
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{remaining} left]"
MANY = 5  # items from which the time left is not judged by the first: it may hold work that is done once


class _Plain(logging.Formatter):
    """Lines without secrets and without what a terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as the formatter makes it, secrets redacted."""
        return printable(redact(super().format(record)))


class _AboveBars(logging.StreamHandler[TextIO]):
    """Lines on a terminal stand above the bars that are drawn there, not within them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; the bars are wiped out for it and drawn again."""
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
        seen = not self.stream.closed and self.stream.isatty()  # closed: left to the handler, which goes on
        with bars.external_write_mode(self.stream) if bars and seen else nullcontext():
            super().emit(record)


def printable(text: str, *, keep: str = "\n") -> str:
    """The text with `�` for each character that a terminal would obey or hide instead of showing it.

    >>> printable("\x1b[2JEVIL")
    '�[2JEVIL'
    """
    return "".join(char if char.isprintable() or char in keep else "�" for char in text)


def configure() -> None:
    """Send `bq`'s log to standard error: bare messages on a terminal, stamped lines elsewhere."""
    handler = _AboveBars(sys.stderr)
    stamped = "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(_Plain("%(message)s" if sys.stderr.isatty() else stamped, "%Y-%m-%dT%H:%M:%S%z"))
    log.handlers[:] = [handler]
    level = os.environ.get("BQ_LOG", "").upper()
    log.setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
    log.propagate = False
    for library in ("papermill", "asyncio", "traitlets"):  # a killed kernel is reported by us
        logging.getLogger(library).setLevel(logging.CRITICAL)


def progress(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Iterate with a progress bar on a terminal or in Jupyter; in a log with a line each LINE_SECONDS.

    Each says how far it is and how long the rest takes. Of bars within one another the outermost is shown alone, of
    worker processes none; `TQDM_DISABLE=1` at the start of a process silences it.
    """
    from tqdm import tqdm  # not tqdm.auto: without ipywidgets it warns, and draws the same

    with _outermost() as shape, tqdm(total=total, desc=description, leave=False, smoothing=0, **shape) as bar:
        for place, item in enumerate(items):
            yield item
            if place == 0 and total >= MANY and not bar.disable:
                bar.initial, bar.start_t = 1, time.time()
            bar.update()


@contextmanager
def progress_of(file: IO[bytes], *, description: str) -> Iterator[IO[bytes]]:
    """A file to read from its beginning to its end; as `progress`, by the bytes that were read."""
    from tqdm import tqdm

    size = os.fstat(file.fileno()).st_size
    with _outermost() as shape, tqdm.wrapattr(file, "read", size, desc=description, leave=False, **shape) as watched:
        yield watched


_drawn = [False]  # whether a bar is: those within it are silent


def draw_none() -> None:
    """Let this process draw no bars: the terminal is its parent's."""
    _drawn[0] = True


@contextmanager
def _outermost() -> Iterator[dict[str, Any]]:
    """How tqdm shows a bar."""
    if _drawn[0]:
        yield {"disable": True}
        return
    _drawn[0] = True
    try:
        yield _shape()
    finally:
        _drawn[0] = False


def _shape() -> dict[str, Any]:
    if _in_a_kernel():
        return {"ncols": 100, "file": _Cell(), "bar_format": BAR, "mininterval": 0.5}
    if not sys.stderr.isatty():
        seldom = dict.fromkeys(("delay", "mininterval", "maxinterval"), LINE_SECONDS)
        return {"file": _Lines(), "bar_format": LINE, "miniters": 1, "position": 0, **seldom}
    size = shutil.get_terminal_size()  # 80 × 24 where a terminal says 0, on which tqdm would draw nothing
    return {"ncols": min(size.columns, 100), "nrows": size.lines, "bar_format": BAR}


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


class _Lines:
    """A line in the log for each state of a bar."""

    def write(self, text: str) -> None:
        """Log what tqdm draws; not the blanks with which it wipes it out."""
        if line := text.strip():
            log.info("%s", line)

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
