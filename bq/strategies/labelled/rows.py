"""The rows of a table judged one by one: each becomes an event, or is refused for one reason."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from bq.market import calendars
from bq.market.bars import findings
from bq.strategies.events import SOURCES, event_id
from bq.strategies.labelled.typed import UNREAD
from bq.strategies.labelled.units import outside
from bq.strategies.layout import Unit

Reasons = Mapping[str, tuple[pl.Expr, str]]  # rule: where it is broken, and what is said of it


class Judged(NamedTuple):
    """`kept` : the events to be. `refused` : findings of the others. `copies` : row and symbol of those left out."""

    kept: pl.DataFrame
    refused: pl.DataFrame
    copies: pl.DataFrame


def judged(rows: pl.DataFrame, reasons: Reasons, *, file: str) -> Judged:
    """Refuse rows by the first reason that applies, then those that say the same decision twice.

    rows : `row`, `symbol`, `session`, `event_id` and all that an event has. Of rows that are alike in everything the
    first is kept; where they differ, none can be believed.
    """
    why = pl.coalesce(*(pl.when(broken).then(pl.lit(rule)) for rule, (broken, _) in reasons.items()), pl.lit(""))
    texts = pl.col("rule").replace_strict({rule: said for rule, (_, said) in reasons.items()}, default="")
    marked = rows.with_columns(rule=why.fill_null(""))
    good = marked.filter(pl.col("rule") == "").drop("rule")
    content = [name for name in good.columns if name != "row"]
    first = good.unique(content, keep="first", maintain_order=True)
    copies = good.join(first, on="row", how="anti")
    again = first["event_id"].is_duplicated()
    said = {
        "decided_twice": "two rows hold this decision and differ; if they are two decisions, name the column that "
        "tells them apart by market.columns: {variant: …}"
    }
    twice = first.filter(again).with_columns(detail=pl.lit(said["decided_twice"]), rule=pl.lit("decided_twice"))
    broken = marked.filter(pl.col("rule") != "").with_columns(detail=texts)
    names = ["row", "symbol", "session", "rule", "detail"]
    refused = pl.concat([broken.select(names), twice.select(names)]).sort("row")
    return Judged(
        first.filter(~again), findings(refused, action="quarantined", file=file), copies.select("row", "symbol")
    )


def with_ids(rows: pl.DataFrame, strategy: str) -> pl.DataFrame:
    """The rows with `event_id`; null where a row has no symbol or no time."""
    stamps = [None if time is None else time.isoformat() for time in rows["t0"]]
    keys = zip(rows["symbol"], stamps, rows["variant"], strict=True)
    ids = [None if symbol is None or at is None else event_id(strategy, symbol, at, kind) for symbol, at, kind in keys]
    return rows.with_columns(event_id=pl.Series(ids, dtype=pl.String))


def reasons_of(
    names: Sequence[str], *, strategy: str, calendar: str, simulated: bool, units: Mapping[str, Unit], now: dt.datetime
) -> Reasons:
    """Why a row may be refused, the first reason first.

    names : of the columns that there are. simulated : of the namespace.
    """
    session, t0, t1, due, outcome = map(pl.col, ("session", "t0", "t1", "t1_due", "outcome"))
    trading = session.is_in(calendars.sessions(calendar)["session"].implode())
    unread = [name for name in names if name.startswith(UNREAD)]
    source = pl.col("source")
    other_world = (source == "simulated") if not simulated else (source != "simulated")
    ours = {
        "no_symbol": (pl.col("symbol").is_null(), "a row must name its symbol"),
        "no_date": (session.is_null(), "a row must have the session at whose close is decided"),
        "not_a_session": (~trading, f"t0 must be a session of {calendar}, but the exchange was closed"),
        "future": (t0 > now, "t0 must not lie in the future"),
        "other_strategy": (pl.col("strategy") != strategy, f"a row must be of {strategy}"),
        "unknown_source": (~source.is_in(SOURCES), f"`source` must be one of {', '.join(SOURCES)}"),
        "other_source": (
            other_world,
            "simulated outcomes and others are kept apart: set market.labelled.outcomes, or collect them by themselves",
        ),
        "unreadable": (pl.any_horizontal(pl.lit(False), *unread), "what must be a finite number is none"),
        "no_score": (pl.col("score").is_null(), "a row must have the rule score"),
        "no_due": (due.is_null(), "the latest end (t1_due, or t0 and a holding time) must be known to the calendar"),
        "ends_before": ((t1 <= t0) | (due <= t0), "t1 and t1_due must come after t0"),
        "after_due": (t1 > due, "t1 must not come after t1_due"),
        "ends_in_future": (outcome.is_not_null() & (t1 > now), "what has an outcome must have ended"),
        "no_outcome": (outcome.is_null() & (due <= now), "what was due must have an outcome"),
    }
    bounds = {
        f"{name}_outside": (
            outside(name, unit),
            f"{name} must lie between {unit.low:g} and {unit.high:g}",
        )
        for name, unit in units.items()
        if name in names
    }
    return {**ours, **bounds}
