"""A table's columns under our names, with our types and units."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from bq.core.settings import Labelled, Market
from bq.market.bars import Rejected
from bq.market.columns import ticker
from bq.strategies.events import UTC
from bq.strategies.labelled import leaks, values
from bq.strategies.labelled.names import CONTRACT, Names
from bq.strategies.labelled.units import converted
from bq.strategies.layout import Layout

VARIANT = "labelled"  # of decisions whose rules the table does not name
UNKNOWN = "unknown"  # what a column of text says where the table says nothing that is known
UNREAD = "unread_"  # before the name of a number: whether the table holds something else there
NUMBERS = ("outcome", "score", "holding_days")  # of CONTRACT
COLUMNS = pl.Schema({"column": pl.String(), "read_as": pl.String(), "note": pl.String()})


class Typed(NamedTuple):
    """`rows` : one a row of the table, with `row` and the columns that were found. `columns` : COLUMNS."""

    rows: pl.DataFrame
    columns: pl.DataFrame


def typed(found: pl.DataFrame, matched: Names, *, strategy: str, layout: Layout, market: Market, comma: bool) -> Typed:
    """Give the columns that have a place their names, types and units.

    found : the table, with `row`. comma : text may read 1,5 for 1.5.

    Raises Rejected where a unit is contradicted, dates cannot be read, or nothing says when a label ends at the latest.
    """
    plan = market.table or Labelled()
    own = {place: found[name].alias(place) for place, name in matched.found.items()}
    numbers = [place for place in own if place in NUMBERS or place not in (*CONTRACT, *layout.texts)]
    if unknown := [name for name in plan.percent if name not in numbers]:
        raise Rejected(
            "percent",
            f"`market.labelled.percent` must name numbers of the table as they are read ({', '.join(numbers)}), but "
            f"names {', '.join(unknown)}.",
        )
    columns: dict[str, pl.Series] = {"row": found["row"].cast(pl.UInt32)}
    notes = {}
    for place in numbers:
        percent = place in plan.percent or matched.in_percent(place)
        columns |= _number(own[place], layout, percent=percent, comma=comma)
        zeros = int((columns[place].is_null() & ~columns[f"{UNREAD}{place}"] & own[place].is_not_null()).sum())
        notes[place] = "; ".join(["in per cent"] * percent + [f"{zeros:,} without a value"] * bool(zeros))
    columns |= _texts(own, layout, strategy=strategy, plan=plan, rows=len(found))
    columns |= _times(own, columns, market, plan)
    return Typed(pl.DataFrame(columns), _columns(matched, notes, layout))


def _number(column: pl.Series, layout: Layout, *, percent: bool, comma: bool) -> dict[str, pl.Series]:
    place = column.name
    read, unread = values.numbers(column, decimal_comma=comma)
    if place in layout.positive:
        read = read.set((read == 0).fill_null(False), None)
    read = converted(read.alias(place), layout.units.get(place), percent=percent)
    return {place: read.alias(place), f"{UNREAD}{place}": unread}


def _texts(
    own: Mapping[str, pl.Series], layout: Layout, *, strategy: str, plan: Labelled, rows: int
) -> dict[str, pl.Series]:
    """Whose decision it is, of which kind, and what kind of outcome it has."""
    symbol = own["symbol"].to_frame().select(ticker("symbol", own["symbol"].dtype)).to_series()
    given = {name: values.text(own[name]) for name in ("strategy", "variant", "source", "label") if name in own}

    def filled(name: str, default: str) -> pl.Series:
        return given[name].fill_null(default) if name in given else pl.Series([default] * rows, dtype=pl.String)

    kinds = {name: _kind(values.text(own[name]), known) for name, known in layout.texts.items() if name in own}
    return {
        "symbol": symbol,
        "strategy": filled("strategy", strategy).str.to_lowercase(),
        "variant": filled("variant", VARIANT),
        "source": filled("source", plan.outcomes).str.to_lowercase(),
        "taken": values.truths(own["taken"]).fill_null(True) if "taken" in own else pl.Series([True] * rows),
        "given_label": given.get("label", pl.Series([None] * rows, dtype=pl.String)),
        **{name: kinds.get(name, pl.Series([UNKNOWN] * rows)).alias(name) for name in layout.texts},
    }


def _kind(words: pl.Series, known: tuple[str, ...]) -> pl.Series:
    """The one of the known words that each text contains, whatever its case."""
    found = words.str.to_lowercase().str.extract(f"({'|'.join(re.escape(one.lower()) for one in known)})")
    return found.replace_strict({one.lower(): one for one in known}, default=UNKNOWN, return_dtype=pl.String)


def _times(
    own: Mapping[str, pl.Series], columns: Mapping[str, pl.Series], market: Market, plan: Labelled
) -> dict[str, pl.Series]:
    """session, t0, t1 and t1_due: closes of sessions. Without t1 an outcome is known at t1_due."""
    calendar = market.calendar
    named = [name for name in ("t0", "t1", "t1_due") if name in own]
    days = {name: values.days(own[name], calendar=calendar, order=market.dates) for name in named}
    session = days["t0"]
    if "t1_due" in days:
        last = days["t1_due"]
    elif "holding_days" in columns or plan.holding_days:
        stated = pl.lit(plan.holding_days, pl.Float64)
        held = columns.get("holding_days", pl.Series([None] * len(session), dtype=pl.Float64)).alias("held")
        days_held = pl.duration(days=pl.coalesce("held", stated).ceil().cast(pl.Int64))
        last = pl.DataFrame([session, held]).select(pl.col(session.name) + days_held).to_series()
    else:
        raise Rejected(
            "no_due",
            "the latest possible end of a label must be known: a column `t1_due` (or `holding_days`, from t0), or "
            "`market.labelled.holding_days: 40` for all. The actual end will not do: a training on what has closed so "
            "far would learn from early exits only.",
        )
    due = values.closes(last.cast(pl.Date), calendar=calendar)
    ended = values.closes(days["t1"], calendar=calendar) if "t1" in days else due
    closed = columns["outcome"].is_not_null()
    ended = ended.zip_with(ended.is_not_null(), due)
    return {
        "session": session,
        "t0": values.closes(session, calendar=calendar).cast(UTC),
        "t1": ended.set(~closed, None).cast(UTC),
        "t1_due": due.cast(UTC),
    }


def _columns(matched: Names, notes: Mapping[str, str], layout: Layout) -> pl.DataFrame:
    """What every column of the table was read as, or why it was left out."""
    read = [(name, place, notes.get(place, "")) for place, name in matched.found.items()]
    left = [
        (name, None, leaks.by_name(name, layout.later) or "no feature that is asked for") for name in matched.others
    ]
    return pl.DataFrame(read + left, schema=COLUMNS, orient="row")
