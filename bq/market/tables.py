"""A file opened: its columns as found, and what is known of how to read them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

DateOrder = Literal["dmy", "mdy"]
ROW = "#row"  # column of a layout that unfolds rows: the row of the file that each came from


@dataclass(frozen=True)
class Table:
    """What a recogniser takes and gives.

    scan : the file, columns as found (text throughout in CSV); those of a recognised layout have names that
    `columns.ALIASES` knows, and `ROW` where one row of the file became several.
    stem : what the file's name says: the symbol of all rows where no column says it.
    columns : `{contract name: file's name}`, stated by the user. dates : order of day and month, where that is known.
    decimal_comma : text may read 1,5 for 1.5. layout : the vendor's, for the findings. said : what else it tells.
    """

    scan: pl.LazyFrame
    stem: str
    columns: Mapping[str, str] = field(default_factory=dict)
    dates: DateOrder | None = None
    decimal_comma: bool = False
    layout: str = ""
    said: str = ""

    @property
    def names(self) -> list[str]:
        """Names of the columns, as found."""
        return self.scan.collect_schema().names()


def bare(name: str) -> str:
    """A column's name as it is compared: without case, spaces, punctuation and what marks a repeated name."""
    return re.sub(r"[\W_]", "", plain(name).casefold())


def plain(name: str) -> str:
    """A column's name as the file has it: a reader numbers those that repeat."""
    return re.sub(r"_duplicated_\d+$", "", name)
