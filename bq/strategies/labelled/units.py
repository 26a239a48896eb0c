"""In which unit the columns of a table are: stated, said by their names, or told by their values; never guessed."""

import polars as pl

from bq.core.scalars import number
from bq.market.bars import Rejected
from bq.strategies.layout import Unit

TOO_MANY = 0.02  # share of values outside the unit from which it is the unit that is wrong, not the values


def converted(values: pl.Series, unit: Unit | None, *, percent: bool) -> pl.Series:
    """A column in its unit: divided by 100 where it is in per cent.

    percent : as stated, or as the column's name says.

    Raises Rejected where the values contradict the unit, naming what was seen and both ways out.
    """
    values = values / 100.0 if percent else values
    known = values.drop_nulls()
    if unit is None or known.is_empty():
        return values
    low, high = unit.usual
    middle = number(known.abs().median())
    outside = number(((known < unit.low) | (known > unit.high)).mean())
    if low <= middle <= high and outside <= TOO_MANY:
        return values
    raise Rejected("unit", _contradiction(values, unit, middle, outside, percent=percent))


def _contradiction(values: pl.Series, unit: Unit, middle: float, outside: float, *, percent: bool) -> str:
    name, (low, high) = values.name, unit.usual
    seen = (
        f"{outside:.0%} of its values lie outside {unit.low:g} to {unit.high:g} (from {values.min():.4g} to "
        f"{values.max():.4g})"
        if outside > TOO_MANY
        else f"its median size is {middle:.4g}, where {low:g} to {high:g} is usual"
    )
    remedy = (
        "It was read as per cent: if it is none, take it out of market.labelled.percent, or name it without a sign for "
        "per cent by `market.columns`"
        if percent
        else f"If it is in per cent, say so by `market.labelled.percent: [{name}]`"
    )
    return f"`{name}` must be {unit.what}, but {seen}. {remedy}; else correct the table."


def outside(name: str, unit: Unit) -> pl.Expr:
    """Where a value of a column is none in its unit."""
    return (pl.col(name) < unit.low) | (pl.col(name) > unit.high)
