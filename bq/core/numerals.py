"""How a number stands in text: one rule for every page, table and line of a terminal.

What is missing, or no number, is a dash. Zero has no sign, also where a number is only rounded to it. Nothing has an
exponent: a number too small for its decimals gets as many as its first digit needs. Thousands are parted by commas.
"""

import math
from collections.abc import Sequence

from bq.core.scalars import number_or_none

MISSING = "–"
MOST_DECIMALS = 9  # below is rounding of the arithmetic: 0
WHOLE_FROM = 100_000.0  # from here on decimals say nothing
TWO_FROM = 100.0  # from here on two decimals are enough
SMALL = 0.1  # below, a column's largest number gets as many significant digits as others get decimals


def decimal(value: object, digits: int = 3, *, sign: bool = False, missing: str = MISSING) -> str:
    """A number with so many decimals. sign : also before what is above 0. missing : said where there is no number.

    >>> decimal(0.5), decimal(-1234.5678, 1), decimal(0.25, sign=True), decimal(float("nan"), missing="no figure")
    ('0.500', '-1,234.6', '+0.250', 'no figure')
    >>> decimal(1.28e-06), decimal(-1e-12, sign=True), decimal(-0.0)
    ('0.000001', '0.000', '0.000')
    """
    known = _finite(value)
    if known is None:
        return missing
    shown = _fixed(known, max(digits, min(_place(known), MOST_DECIMALS) if round(known, digits) == 0 else 0))
    if _is_zero(shown):
        return _fixed(0.0, digits)
    return f"+{shown}" if sign and known > 0 else shown


def with_sign(value: object, digits: int = 3, *, missing: str = MISSING) -> str:
    """A number with so many decimals and its sign.

    >>> with_sign(0.25), with_sign(-0.25, 1), with_sign(0.0)
    ('+0.250', '-0.2', '0.000')
    """
    return decimal(value, digits, sign=True, missing=missing)


def bounds(low: object, high: object, digits: int = 3, *, missing: str = "[no interval]") -> str:
    """Both ends of an interval in brackets, or that there is none.

    >>> bounds(-0.1, 0.25), bounds(-0.1, 0.25, 1), bounds(None, None), bounds(float("nan"), 0.25)
    ('[-0.100, +0.250]', '[-0.1, +0.2]', '[no interval]', '[no interval]')
    """
    ends = _finite(low), _finite(high)
    return missing if None in ends else f"[{', '.join(with_sign(end, digits) for end in ends)}]"


def percent(value: object, digits: int = 0, *, sign: bool = False, missing: str = MISSING) -> str:
    """A share in percent. Nothing less than the whole is 100%: it gets as many decimals as it takes to say so.

    >>> percent(0.123), percent(-0.0000000000001), percent(0.002), percent(None), percent(0.0521, 1, sign=True)
    ('12%', '0%', '0.2%', '–', '+5.2%')
    >>> percent(1930 / 1932), percent(0.99996, 1), percent(1.0), percent(1.0 - 1e-14)
    ('99.9%', '99.996%', '100%', '100%')
    """
    known = _finite(value)
    if known is None:
        return missing
    if round(1.0 - abs(known), MOST_DECIMALS) > 0.0:
        while round(100.0 * abs(known), digits) == 100.0:
            digits += 1
    return decimal(100.0 * known, digits, sign=sign) + "%"


def significant(value: object, digits: int = 3, *, sign: bool = False, missing: str = MISSING) -> str:
    """A number with so many significant digits, without zeros at the end: thresholds, ticks, parameters.

    >>> significant(60.0), significant(0.00001), significant(1234567.0), significant(0.4996), significant(9.31e-09)
    ('60', '0.00001', '1,230,000', '0.5', '0.000000009')
    """
    known = _finite(value)
    if known is None:
        return missing
    if known == 0 or _place(known) > MOST_DECIMALS:
        return "0"
    rounded = float(f"{known:.{digits}g}")
    shown = _fixed(rounded, min(max(_place(rounded) + digits - 1, 0), MOST_DECIMALS))
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return f"+{shown}" if sign and known > 0 else shown


def stated(value: object) -> str:
    """A value of any kind, as a parameter has it; a dash for None.

    >>> stated("2006-01-01"), stated(6), stated(None)
    ('2006-01-01', '6', '–')
    """
    return MISSING if value is None else str(value)


def column(values: Sequence[object], digits: int = 3, *, missing: str = MISSING) -> list[str]:
    """Numbers that stand below each other: all with the same decimals, none where all are whole.

    >>> column([0.5, None, -12.25]), column([60.0, 0.0]), column([0.0312, -0.000004]), column([1e6, 0.25])
    (['0.500', '–', '-12.250'], ['60', '0'], ['0.0312', '0.0000'], ['1,000,000', '0'])
    >>> column([1e-17, -2e-12]), column([3.0, 1e-15])
    (['0', '0'], ['3', '0'])
    """
    known = [round(number, MOST_DECIMALS) for value in values if (number := _finite(value)) is not None]
    decimals = _decimals(known, digits)
    return [_plain(number, decimals) if (number := _finite(value)) is not None else missing for value in values]


def _decimals(known: Sequence[float], digits: int) -> int:
    largest = max(map(abs, known), default=0.0)
    if largest >= WHOLE_FROM or all(number == round(number) for number in known):
        return 0
    if largest >= TWO_FROM:
        return min(digits, 2)
    if largest >= SMALL:
        return digits
    return min(_place(largest) + digits - 1, MOST_DECIMALS)


def _plain(number: float, decimals: int) -> str:
    shown = _fixed(number, decimals)
    return _fixed(0.0, decimals) if _is_zero(shown) else shown


def _fixed(number: float, decimals: int) -> str:
    return f"{number:,.{decimals}f}"


def _place(number: float) -> int:
    """The decimal place of a number's first digit: 1 for 0.2, 0 for 3, -2 for 400; 0 for 0."""
    return 0 if number == 0 else -math.floor(math.log10(abs(number)))


def _is_zero(shown: str) -> bool:
    return not shown.strip("-0.,")


def _finite(value: object) -> float | None:
    number = number_or_none(value)
    return number if number is not None and math.isfinite(number) else None
