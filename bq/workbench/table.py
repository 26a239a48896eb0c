"""A frame as a reader wants it: whole, rounded, no quotes, every text escaped."""

import datetime as dt
from collections.abc import Sequence
from html import escape
from typing import Any

import polars as pl


class Table:
    """Shows a frame as an HTML table in a notebook and as plain text elsewhere."""

    def __init__(self, frame: pl.DataFrame, digits: int) -> None:
        self._columns = frame.columns
        self._rows = [[_shown(value, digits) for value in row] for row in frame.rows()]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self._columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows)
        body = body or f'<tr><td colspan="{len(self._columns)}">none</td></tr>'
        return f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def __repr__(self) -> str:
        lines = [self._columns, *self._rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self._columns))]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)


class Exhibits:
    """Shows tables one below the other, each under its title and text."""

    def __init__(self, parts: Sequence[tuple[str, str, Table]]) -> None:
        self._parts = parts

    def _repr_html_(self) -> str:
        return "".join(f"<h3>{escape(a)}</h3><p>{escape(b)}</p>{c._repr_html_()}" for a, b, c in self._parts)

    def __repr__(self) -> str:
        return "\n\n".join(f"{a}\n{b}\n{c!r}" for a, b, c in self._parts)


def exhibits(parts: Sequence[tuple[str, str, pl.DataFrame]]) -> Exhibits:
    """Show (title, text, frame) one below the other."""
    return Exhibits([(title, text, table(frame)) for title, text, frame in parts])


def table(frame: pl.DataFrame, *, digits: int = 3) -> Table:
    """Show all rows of a frame: floats to `digits` decimals (significant digits where small), missing as a dash."""
    return Table(frame, digits)


def _shown(value: Any, digits: int) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}f}" if abs(value) >= 0.1 or value == 0 else f"{value:.{digits}g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value.isoformat() if isinstance(value, dt.date) else str(value)
