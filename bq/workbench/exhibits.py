"""What a strategy has to show: tables, and figures of what it earned, each under its title and text."""

from collections.abc import Sequence
from html import escape
from typing import Any

from bq.strategies.contract import Exhibit
from bq.workbench import reading
from bq.workbench.curves import growth
from bq.workbench.table import table
from bq.workbench.told import Reading


def contents(one: Exhibit) -> list[Any]:
    """What stands below the text of an exhibit: its figure, where it has one, with its reading, and its table."""
    if one.curves is None:
        return [table(one.table)]
    levels = [name for name in one.curves.columns if name != "session"]
    figure = growth(one.curves, "session", levels, title=one.title, x_title="session")
    return [figure, Reading(reading.growths(one.curves, levels)), table(one.table)]


class Exhibits:
    """Shows exhibits one below the other, in a notebook each content as an output of its own."""

    def __init__(self, parts: Sequence[Exhibit]) -> None:
        self._parts = parts

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display  # there where this is asked for

        for one in self._parts:
            for content in (HTML(f"<h3>{escape(one.title)}</h3><p>{escape(one.text)}</p>"), *contents(one)):
                display(content)

    def __repr__(self) -> str:
        return "\n\n".join(f"{one.title}\n{one.text}\n{table(one.table)!r}" for one in self._parts)


def exhibits(parts: Sequence[Exhibit]) -> Exhibits:
    """Show exhibits one below the other."""
    return Exhibits(parts)
