"""The exceptions a user can meet. Each message says what must hold, what came, where, and what to do."""

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

KNOWN = 40  # names that are listed where none is near
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 3, 60, 60


class BQError(Exception):
    """Base of all expected errors: shown as one sentence, never as a traceback. `exit_code` is the process's."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook."""
        return [f"{type(self).__name__}: {self}"]


class Locked(BQError):
    """Another run holds the lock; nothing was changed."""

    exit_code = 3


class BadParameters(BQError):
    """A parameter file, an override or an argument does not hold."""

    exit_code = 4


class BadData(BQError):
    """Market data, events or a model file do not satisfy their contract."""

    exit_code = 5


class TemporalOverlap(BadParameters):
    """The temporal settings would let training labels reach into a test block."""


class Interrupted(KeyboardInterrupt):
    """Work that a person stopped in a notebook (Kernel → Interrupt)."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook."""
        return [f"{type(self).__name__}: {self}"]


@contextmanager
def interruptible(what: str) -> Iterator[None]:
    """An interrupt says in one sentence what it stopped; also as a decorator. Raises Interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"{what} was stopped and gave nothing back; run the cell again.") from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question, or the list of known names. Capitals and small letters are near.

    >>> did_you_mean("folsd", ["folds", "seed"])
    'did you mean `folds`?'
    >>> did_you_mean("aapl", ["AAPL", "MSFT"])
    'did you mean `AAPL`?'
    """
    known = sorted(known)
    if found := nearest(name, known):
        return f"did you mean `{found}`?"
    more = f" and {len(known) - KNOWN:,} more" if len(known) > KNOWN else ""
    return "known: " + ", ".join(known[:KNOWN]) + more


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most like this one; None where none is near. cutoff : least `difflib` ratio."""
    folded = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def describe(value: Any) -> str:
    """A value and its kind, for people."""
    kinds = {str: "text", bool: "true/false", int: "whole number", float: "number", dict: "section", list: "list"}
    if value is None:
        return "nothing"
    kind = kinds.get(type(value), type(value).__name__)
    shown = SHORT.repr(value)  # of an anchor bomb, repr() would not end
    return f"{shown if len(shown) <= 60 else shown[:57] + '…'} ({kind})"


UNFIT = (ValueError, ArithmeticError, RuntimeError)  # what numerical libraries raise for a model that cannot be fitted


def reason(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing.

    >>> reason(ValueError("Could not untransform parameters.\\nIt went on.")), reason(ZeroDivisionError())
    ('Could not untransform parameters.', 'ZeroDivisionError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
