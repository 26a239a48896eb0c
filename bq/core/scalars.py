"""One value out of a frame, with its type.

Polars declares the mean of a column, or one cell, as anything a column could hold. Who takes such a value says here
which type it must have, and whether it may be missing: a wrong one fails where it is taken and not later, in a sum.
"""

import datetime as dt
import numbers


def number(value: object) -> float:
    """A measured number. NaN passes (it is a float); nothing, text and true/false do not.

    >>> number(2)
    2.0
    >>> number(None)
    Traceback (most recent call last):
    TypeError: a number must be given, but got None (NoneType)
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise _wrong("a number", value)


def number_or_none(value: object) -> float | None:
    """A number, or None where there was nothing to measure, as the mean of no rows.

    >>> number_or_none(None) is None
    True
    """
    return None if value is None else number(value)


def count(value: object) -> int:
    """A whole number.

    >>> count(3)
    3
    >>> count(3.5)
    Traceback (most recent call last):
    TypeError: a whole number must be given, but got 3.5 (float)
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    raise _wrong("a whole number", value)


def day(value: object) -> dt.date:
    """A date without a time of day.

    >>> day(dt.date(2024, 1, 2))
    datetime.date(2024, 1, 2)
    >>> day(None)
    Traceback (most recent call last):
    TypeError: a date must be given, but got None (NoneType)
    """
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise _wrong("a date", value)


def moment(value: object) -> dt.datetime:
    """A date with a time of day, of the time zone that it came with.

    >>> moment(dt.datetime(2024, 1, 2, 21))
    datetime.datetime(2024, 1, 2, 21, 0)
    """
    if isinstance(value, dt.datetime):
        return value
    raise _wrong("a date with its time", value)


def _wrong(expected: str, value: object) -> TypeError:
    return TypeError(f"{expected} must be given, but got {value!r} ({type(value).__name__})")
