"""A frame as a reader wants it: whole, rounded, no quotes, every text escaped."""

import datetime as dt
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import polars as pl

from bq.core import numerals

LONG = 40  # characters from which a text may take several lines
LEFT = ' style="text-align: left"'  # for Jupyter, which puts all cells to the right; pages go by the class


class Table:
    """Shows a frame as an HTML table in a notebook and as plain text elsewhere."""

    def __init__(self, frame: pl.DataFrame, digits: int, empty: str, links: Sequence[str] | None = None) -> None:
        self._columns = frame.columns
        self._rows = [list(row) for row in zip(*(_texts(column, digits) for column in frame), strict=True)]
        self._empty, self._links = empty, links
        self._text = [kind in (pl.String, pl.Date) for kind in frame.dtypes]

    def _repr_html_(self) -> str:
        marks = [self._mark(place) for place in range(len(self._columns))]
        head = "".join(f"<th{mark}>{_head(name)}</th>" for mark, name in zip(marks, self._columns, strict=True))
        body = "".join(f"<tr>{self._row(place, row, marks)}</tr>" for place, row in enumerate(self._rows))
        body = body or f'<tr><td class="text" colspan="{len(self._columns)}">{escape(self._empty)}</td></tr>'
        kind = "dataframe" if self._links is None else "dataframe stack"
        return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def __repr__(self) -> str:
        lines = [self._columns, *self._rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self._columns))]
        signs = [f"{'<' if text else '>'}{width}" for text, width in zip(self._text, widths, strict=True)]
        padded = ([format(*cell) for cell in zip(line, signs, strict=True)] for line in lines)
        return "\n".join([*("  ".join(line).rstrip() for line in padded), *([] if self._rows else [self._empty])])

    def _row(self, place: int, row: Sequence[str], marks: Sequence[str]) -> str:
        cells = [escape(cell) for cell in row]
        if self._links is None:
            return "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, cells, strict=True))
        if link := self._links[place]:
            cells[0] = f'<a href="{escape(link)}">{cells[0]}</a>'
        marks = [_without(mark) if cell == numerals.MISSING else mark for mark, cell in zip(marks, row, strict=True)]
        labelled = zip(marks, map(escape, self._columns), cells, strict=True)
        return "".join(f'<td{mark} data-label="{name}">{cell}</td>' for mark, name, cell in labelled)

    def _mark(self, place: int) -> str:
        """The class of a column's cells: text starts at the left, long text wraps."""
        if not self._text[place]:
            return ""
        longest = max((len(row[place]) for row in self._rows), default=0)
        return f' class="text long"{LEFT}' if longest > LONG else f' class="text"{LEFT}'


def _without(mark: str) -> str:
    """The class of a cell with nothing in it, which a phone leaves out."""
    return mark.replace('class="', 'class="none ') or ' class="none"'


def _head(name: str) -> str:
    """A name that may break within: columns of short numbers need not be as wide as what they are called."""
    return re.sub(r"(?<=\w)([._])(?=\w)", r"\1<wbr>", escape(name))


def table(
    frame: pl.DataFrame,
    *,
    digits: int = 3,
    empty: str = "no rows: nothing of this kind was found",
    links: Sequence[str] | None = None,
) -> Table:
    """Show all rows of a frame: the floats of a column with the same decimals, missing as a dash.

    digits : decimals, or significant digits of a column whose largest number is below 0.1. empty : said in the place of
    rows where there are none. links : the address of each row, for its first cell; empty: none. With them, a row takes
    several lines on a phone.
    """
    return Table(frame, digits, empty, links)


def _texts(column: pl.Series, digits: int) -> list[str]:
    """The cells of a column."""
    if column.dtype.is_float():
        return numerals.column(column.to_list(), digits)
    return [_shown(value) for value in column.to_list()]


def _shown(value: Any) -> str:
    if value is None:
        return numerals.MISSING
    if isinstance(value, float):  # in a column of several kinds
        return numerals.decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value.isoformat() if isinstance(value, dt.date) else str(value)
