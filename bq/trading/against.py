"""A replay's trading against a ledger over the same sessions: the first that differs, and what every gap comes from."""

import datetime as dt
from enum import StrEnum
from typing import Any, NamedTuple

import polars as pl

from bq.trading.intents import Action
from bq.trading.journal import Journal

KEY = ["track", "position", "session", "contract", "action"]
CENT = 0.005  # P&L nearer than this is the same


class Cause(StrEnum):
    """Why the two books differ in a position."""

    NOT_RUN = "not_run"  # nothing was traded at the close of the decision
    NO_SCAN = "no_scan"  # nothing was decided then
    LATE_SCAN = "late_scan"  # it was decided too late to count
    DECIDED = "decided"  # the other one decided otherwise
    REFUSED = "refused"  # the other one refused it
    NOT_FILLED = "not_filled"  # the other one's order was not filled in that session
    QUANTITY = "quantity"  # filled in both, of another number
    PRICE = "price"  # filled in both, at another price
    MARK = "mark"  # the same fills, another value: prices or commissions


class Scans(NamedTuple):
    """Sessions that were decided on. counting : in time, and the first of the session."""

    every: frozenset[dt.date]
    counting: frozenset[dt.date]


class Side(NamedTuple):
    """One of the two books."""

    journal: Journal
    scans: Scans
    traded: frozenset[dt.date]  # sessions at whose close it was run


class Difference(NamedTuple):
    """A fill that only one book has, or both otherwise. Numbers are of the replay and of the ledger; null: none."""

    session: dt.date
    track: str
    position: str
    symbol: str
    contract: str
    replayed: int | None
    booked: int | None
    cash: float  # the replay's less the ledger's, in currency
    cause: Cause
    detail: str  # of a refusal its name; of another decision the models


class Compared(NamedTuple):
    """What a comparison found.

    running : track, session, replayed, booked: P&L since the first session, in currency. first : the first session on
    which fills or P&L differ; None: no session does. differences : in the order of sessions. gaps : a row for each
    position that was opened meanwhile and made something else: track, position, cause, replayed, booked, gap.
    """

    running: pl.DataFrame
    first: dt.date | None
    differences: tuple[Difference, ...]
    gaps: pl.DataFrame


def compare(replayed: Side, booked: Side, first: dt.date, last: dt.date) -> Compared:
    """Compare two books from one session to another; what was held before is in no book of the replay."""
    running = _running(replayed.journal, booked.journal, first, last)
    found = tuple(_differences(replayed, booked, first, last))
    apart = running.filter((pl.col("replayed") - pl.col("booked")).abs() > CENT)["session"].min()
    days = [day for day in (apart, found[0].session if found else None) if isinstance(day, dt.date)]
    return Compared(running, min(days, default=None), found, _gaps((replayed, booked), found, first, last))


def _running(ours: Journal, theirs: Journal, first: dt.date, last: dt.date) -> pl.DataFrame:
    """Both curves on every session of either, from zero at the first."""
    sides = []
    for name, journal in (("replayed", ours), ("booked", theirs)):
        inside = journal.running.filter(pl.col("session") <= last).rename({"pnl": name})
        before = inside.filter(pl.col("session") < first).group_by("track").agg(pl.col(name).last().alias("before"))
        since = inside.filter(pl.col("session") >= first).join(before, on="track", how="left")
        sides.append(since.select("track", "session", pl.col(name) - pl.col("before").fill_null(0.0)))
    both = sides[0].join(sides[1], on=["track", "session"], how="full", coalesce=True).sort("track", "session")
    return both.with_columns(pl.col("replayed", "booked").forward_fill().over("track").fill_null(0.0))


def _differences(replayed: Side, booked: Side, first: dt.date, last: dt.date) -> list[Difference]:
    fills = []
    for side in (replayed, booked):
        inside = side.journal.fills.filter(pl.col("session").is_between(first, last))
        fills.append(inside.group_by(KEY).agg(pl.col("quantity", "cash").sum()))
    both = fills[0].join(fills[1], on=KEY, how="full", coalesce=True, suffix="_booked").sort("session", *KEY)
    apart = (pl.col("cash").fill_null(0.0) - pl.col("cash_booked").fill_null(0.0)).abs() > CENT
    rows = both.filter(pl.col("quantity").ne_missing(pl.col("quantity_booked")) | apart)
    return [_difference(row, replayed, booked) for row in rows.to_dicts()]


def _difference(row: dict[str, Any], replayed: Side, booked: Side) -> Difference:
    ours, theirs = row["quantity"], row["quantity_booked"]
    if ours is not None and theirs is not None:
        cause, detail = Cause.PRICE if ours == theirs else Cause.QUANTITY, ""
    else:
        has, lacks = (replayed, booked) if theirs is None else (booked, replayed)
        cause, detail = _missing(row, has, lacks)
    meant = _of((replayed if ours is not None else booked).journal.meant, row)
    return Difference(
        row["session"],
        row["track"],
        row["position"],
        meant["symbol"][0],
        row["contract"],
        ours,
        theirs,
        (row["cash"] or 0.0) - (row["cash_booked"] or 0.0),
        cause,
        detail,
    )


def _missing(row: dict[str, Any], has: Side, lacks: Side) -> tuple[Cause, str]:
    """Why a fill of one book is not in the other: by what that one did at the close at which it was decided.

    What closes a position that the other one never opened is missing for the reason that its opening is.
    """
    ours, theirs = (_of(side.journal.meant, row) for side in (has, lacks))
    never = theirs.filter(pl.col("refusal").is_null(), action=Action.OPEN).is_empty()
    action = Action.OPEN if never else row["action"]
    followed = ours.filter(pl.col("refusal").is_null(), pl.col("session") < row["session"], action=action)
    if followed.is_empty():  # booked overnight, without a decision
        return Cause.DECIDED, ""
    day, model = followed.select("session", "model_id").row(-1)
    other = theirs.filter(session=day, action=action)["refusal"]
    if len(other):
        return (Cause.NOT_FILLED, "") if other.is_null().any() else (Cause.REFUSED, other[-1])
    if action == Action.OPEN and day not in lacks.scans.every:
        return Cause.NO_SCAN, ""
    if action == Action.OPEN and day not in lacks.scans.counting:
        return Cause.LATE_SCAN, ""
    return (Cause.DECIDED, model or "") if day in lacks.traded else (Cause.NOT_RUN, "")


def _of(meant: pl.DataFrame, row: dict[str, Any]) -> pl.DataFrame:
    """What was meant of a row's position."""
    return meant.filter(track=row["track"], position=row["position"])


def _gaps(sides: tuple[Side, Side], found: tuple[Difference, ...], first: dt.date, last: dt.date) -> pl.DataFrame:
    """What each position that was opened meanwhile made in either book, by the cause of its first difference."""
    place, parts = ["track", "position"], []
    for name, side in zip(("replayed", "booked"), sides, strict=True):
        inside = side.journal.results.filter(pl.col("entered").is_between(first, last))
        parts.append(inside.select(*place, pl.col("pnl").alias(name)))
    both = parts[0].join(parts[1], on=place, how="full", coalesce=True)
    both = both.with_columns(pl.col("replayed", "booked").fill_null(0.0))
    causes: dict[tuple[str, str], str] = {}
    for one in found:
        causes.setdefault((one.track, one.position), str(one.cause))
    cause = [causes.get((track, position), str(Cause.MARK)) for track, position in both.select(place).rows()]
    made = both.with_columns(pl.Series("cause", cause, pl.String), gap=pl.col("replayed") - pl.col("booked"))
    return made.filter(pl.col("gap").abs() > CENT).select(*place, "cause", "replayed", "booked", "gap").sort(*place)
