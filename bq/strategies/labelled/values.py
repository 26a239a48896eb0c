"""The values of a table's columns: numbers, true and false, sessions of a calendar."""

import datetime as dt

import polars as pl

from bq.market import calendars
from bq.market.bars import Rejected
from bq.market.columns import EMPTY, TRUTH
from bq.market.dates import to_sessions
from bq.market.tables import DateOrder

SIGN = r"\s*%$"


def text(column: pl.Series) -> pl.Series:
    """A column as text without surrounding blanks; null where it says that there is no value."""
    words = column.cast(pl.String).str.strip_chars()
    return words.set(words.str.to_lowercase().is_in(EMPTY), None)


def numbers(column: pl.Series, *, decimal_comma: bool) -> tuple[pl.Series, pl.Series]:
    """A column as Float64, null where nothing or no finite number stands; and where something stands that is none.

    Text that ends in a sign for per cent is divided by 100.
    """
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        values = column.cast(pl.Float64)
        return values.set(~values.is_finite(), None), values.is_infinite().fill_null(False)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64), column.is_not_null()
    words = text(column)
    plain = words.str.replace(SIGN, "")
    plain = plain.str.replace(",", ".", literal=True) if decimal_comma else plain
    values = plain.cast(pl.Float64, strict=False)
    values = values.set(~values.is_finite(), None)
    signed = words.str.contains(SIGN).fill_null(False)
    unread = values.is_null() & words.is_not_null() & (words.str.to_lowercase() != "nan")
    return values.zip_with(~signed, values / 100.0), unread


def truths(column: pl.Series) -> pl.Series:
    """A column as true and false; null where it says neither."""
    if column.dtype == pl.Boolean:
        return column
    words = text(column).str.to_lowercase().str.replace(r"\.0$", "")
    return words.replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)


def days(column: pl.Series, *, calendar: str, order: DateOrder | None) -> pl.Series:
    """The date of each value at the exchange, null where there is none; see `bq.market.dates.to_sessions`.

    Raises Rejected where a value is no date, names no time zone although it has a time, or reads two ways.
    """
    values = text(column) if column.dtype == pl.String else column
    if not (values.dtype == pl.String or values.dtype.is_temporal()):
        values = text(values.cast(pl.Int64, strict=False)) if values.dtype.is_numeric() else values
    different = values.drop_nulls().unique().sort()
    try:
        found = to_sessions(different, zone=calendars.time_zone(calendar), order=order)
    except Rejected as refusal:
        raise Rejected(refusal.rule, f"column {column.name!r}: {refusal.detail}", refusal.value) from None
    keys = pl.DataFrame({"as_found": different, "day": found.cast(pl.Date)})
    joined = pl.DataFrame({"as_found": values}).join(keys, on="as_found", how="left", maintain_order="left")
    return joined["day"].alias(column.name)


def closes(dates: pl.Series, *, calendar: str) -> pl.Series:
    """The close (UTC) of the session on each date, or of the next; null beyond the calendar's end."""
    known = calendars.sessions(calendar)
    places = known["session"].search_sorted(dates.fill_null(dt.date(1, 1, 1)))
    found = known["close_utc"].gather(pl.Series(places).clip(0, len(known) - 1))
    inside = dates.is_not_null() & (pl.Series(places) < len(known))
    return found.set(~inside, None).alias(dates.name)
