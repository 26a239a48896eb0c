"""A figure with the sentence that reads it, and what it was made of."""

from html import escape
from typing import Any

import polars as pl


class Reading:
    """Sentences below a figure. What looks like markup in them, such as a symbol named `<b>`, stays text."""

    def __init__(self, *sentences: str) -> None:
        self.sentences = sentences

    def _repr_html_(self) -> str:
        return "".join(f'<p class="reading">{escape(sentence)}</p>' for sentence in self.sentences)

    def __repr__(self) -> str:
        return "\n".join(self.sentences)


class Told:
    """A figure or a table, the sentence that reads it, and the table that both were made from.

    shown : a plotly figure or a `Table`; None where there is nothing to show, and the sentence says why. table : empty
    where there is none.
    """

    def __init__(self, shown: Any, sentence: str, table: pl.DataFrame | None = None) -> None:
        self.shown, self.sentence = shown, sentence
        self.table = pl.DataFrame() if table is None else table

    def _ipython_display_(self) -> None:
        from IPython.display import display  # there where this is asked for

        for content in (self.shown, Reading(self.sentence)):
            if content is not None:
                display(content)

    def __repr__(self) -> str:
        return self.sentence


def findings(*found: Told | str) -> Reading:
    """What the figures of a notebook say, one sentence below the other."""
    return Reading(*(one.sentence if isinstance(one, Told) else one for one in found))
