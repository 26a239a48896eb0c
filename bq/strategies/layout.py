"""What is known of the tables of a strategy's decisions that other systems made: names, units, values that say nothing.

A labelled table is read by it; see `bq.strategies.labelled`.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Unit(NamedTuple):
    """In which unit a column is, told by its values.

    low, high : a value outside is none. usual : where the median size lies in this unit, and does not in per cent; two
    ends, both included. what : the unit, for people.
    """

    low: float
    high: float
    usual: tuple[float, float]
    what: str


class Layout(NamedTuple):
    """How tables of a strategy's decisions are recognised.

    names : of a feature or another column, names that other systems give it, without case and punctuation. units : of
    columns that a table may have in per cent, or otherwise wrong. positive : columns that are never 0: there 0 means
    that nothing was computed. texts : columns of text that are kept, each with what it may say. beside : further
    columns of numbers that are kept. later : columns of the strategy's own events that are known only after t0.
    """

    names: Mapping[str, tuple[str, ...]] = {}
    units: Mapping[str, Unit] = {}
    positive: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = {}
    beside: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
