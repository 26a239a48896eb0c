"""The exceptions a user can meet. Each message says what must hold, what came, where, and what to do."""

import difflib
from collections.abc import Iterable


class BQError(Exception):
    """Base of all expected errors: shown as one sentence, never as a traceback. `exit_code` is the process's."""

    exit_code = 1


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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question, or the list of known names.

    >>> did_you_mean("folsd", ["folds", "seed"])
    'did you mean `folds`?'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else "known: " + ", ".join(known)
