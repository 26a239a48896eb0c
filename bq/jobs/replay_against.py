"""`make replay AGAINST=ledger`: the replayed book beside the one that was really traded, and what sets them apart."""

import datetime as dt
from typing import Any

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.errors import BadParameters
from bq.core.numerals import with_sign
from bq.core.settings import Settings
from bq.jobs import traded
from bq.jobs.replay_trading import Traded
from bq.jobs.request import value
from bq.monitoring import outcomes
from bq.monitoring.records import scans
from bq.trading import against, journal
from bq.trading.against import Cause, Compared, Difference, Scans, Side
from bq.trading.ledger import intents, marks, track_decisions
from bq.workbench import plots
from bq.workbench.phrases import counted
from bq.workbench.table import table

LEDGER = "ledger"
ROWS = 40  # of differences that the page shows
CAUSES = {
    Cause.NOT_RUN: "nothing was traded at the close at which it was decided (make trade-paper did not run)",
    Cause.NO_SCAN: "nothing was decided at that close (make scan did not run)",
    Cause.LATE_SCAN: "the scan was late, or another one of its session counts",
    Cause.DECIDED: "the other one decided otherwise: another model, other parameters or revised data",
    Cause.REFUSED: "the other one refused it",
    Cause.NOT_FILLED: "the other one's order was not filled in that session: rejected, cancelled, or later",
    Cause.QUANTITY: "filled in both, of another number: a partial fill, or another equity",
    Cause.PRICE: "filled in both, at another price",
    Cause.MARK: "the same fills at another value: revised prices, or commissions",
}


def asked() -> bool:
    """Whether AGAINST=ledger was given. Raises BadParameters for anything else."""
    given = value("AGAINST")
    if given not in (None, LEDGER):
        raise BadParameters(f"AGAINST must be {LEDGER}, or not be given, but got {given!r}.")
    return given is not None


def booked(settings: Settings) -> Side:
    """The home's own ledger of a namespace. Raises BadParameters where nothing was ever traded."""
    account = journal.account_of(str(settings.namespace))
    if account is None:
        raise BadParameters(
            f"AGAINST=ledger must find a ledger, but nothing of {settings.namespace} was traded yet. Trade for some "
            "days first (make scan, make trade-paper), or leave AGAINST out."
        )
    found = journal.read(account, str(settings.namespace))
    return Side(found, _scans(settings), frozenset(_traded(account, settings)))


def replayed(made: Traded) -> Side:
    """The book of a replay, which runs at every close and is never late."""
    days = frozenset(made.days)
    return Side(made.journal, Scans(days, days), days)


def window(side: Side) -> tuple[dt.date, dt.date]:
    """The first and the last session of a ledger."""
    days = sorted(side.traded)
    return days[0], days[-1]


def _scans(settings: Settings) -> Scans:
    own = sa.select(scans.c.session).where(scans.c.namespace == str(settings.namespace)).distinct()
    counting = sa.select(scans.c.session).where(scans.c.scan_id.in_(outcomes.first_counting(settings.namespace)))
    with db.engine().connect() as connection:
        every, in_time = (frozenset(connection.execute(query).scalars()) for query in (own, counting))
    return Scans(every, every if settings.market.is_simulated else in_time)


def _traded(account: str, settings: Settings) -> set[dt.date]:
    """Sessions at whose close a run left a trace."""
    name = str(settings.namespace)
    followed = sa.select(scans.c.session).where(
        scans.c.scan_id.in_(sa.select(track_decisions.c.scan_id)), scans.c.namespace == name
    )
    queries = [followed] + [
        sa.select(of.c.session).where(of.c.account == account, of.c.namespace == name) for of in (intents, marks)
    ]
    with db.engine().connect() as connection:
        return {day for query in queries for day in connection.execute(query.distinct()).scalars()}


def compare(made: Traded, theirs: Side) -> Compared:
    """The replay against the ledger, over the replayed sessions."""
    return against.compare(replayed(made), theirs, made.days[0], made.days[-1])


def headline(found: Compared) -> str:
    """Whether the books agree; else the first session that differs, and why."""
    if found.first is None:
        return "the replay and the ledger agree on every session"
    first = [one for one in found.differences if one.session == found.first]
    why = _said(first[0]) if first else f"the same fills, other values ({CAUSES[Cause.MARK]})"
    return f"the replay and the ledger differ from {found.first} on: {why}"


def part(found: Compared) -> tuple[str, list[Any]]:
    """The part of the page."""
    shown: list[Any] = [f"{headline(found)}.", _curve(found.running)]
    if len(found.gaps):
        whole = pl.lit("all").alias("cause")
        sums = [_sums(found.gaps), _sums(found.gaps.with_columns(whole))]
        shown += [
            "Gap at the end, by the cause of the first difference of each position, in currency:",
            table(pl.concat(sums).with_columns(pl.col("cause").replace_strict(_causes(), default="all")), digits=2),
        ]
    if found.differences:
        rows = [_row(one) for one in found.differences[:ROWS]]
        shown += [
            f"The first {len(rows)} of {counted(len(found.differences), 'fill')} that differ:",
            table(pl.DataFrame(rows, infer_schema_length=None), digits=2),
        ]
    return "The replay against the ledger", shown


def _causes() -> dict[str, str]:
    return {str(cause): text for cause, text in CAUSES.items()}


def _sums(gaps: pl.DataFrame) -> pl.DataFrame:
    sums = gaps.group_by("cause").agg(pl.len().alias("positions"), pl.col("replayed", "booked", "gap").sum())
    return sums.sort("cause").rename({"replayed": "replay", "booked": "ledger"})


def _curve(running: pl.DataFrame) -> Any:
    names = {"replayed": "replay", "booked": "ledger"}
    long = running.rename(names).unpivot(list(names.values()), index=["track", "session"])
    wide = long.with_columns(line=pl.col("track") + ", " + pl.col("variable")).pivot(
        "line", index="session", values="value"
    )
    lines = [name for name in wide.columns if name != "session"]
    title = "P&L of each track since the first session"
    return plots.lines(wide.sort("session"), "session", lines, title=title, x_title="session", y_title="P&L, currency")


def _said(one: Difference) -> str:
    return f"{one.track} {one.contract}, replay {_units(one.replayed)}, ledger {_units(one.booked)}: {_why(one)}"


def _units(quantity: int | None) -> str:
    return "none" if quantity is None else with_sign(quantity, 0)


def _why(one: Difference) -> str:
    return CAUSES[one.cause] + (f" ({traded.why_text(one.detail)})" if one.cause == Cause.REFUSED else "")


def _row(one: Difference) -> dict[str, Any]:
    return {
        "session": one.session,
        "track": one.track,
        "contract": one.contract,
        "replay": one.replayed,
        "ledger": one.booked,
        "cash apart": one.cash,
        "why": _why(one),
    }
