"""What each track had made at the end of every session in which something was filled, booked or marked."""

import datetime as dt
from collections import defaultdict
from itertools import accumulate
from typing import Any

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.trading.intents import Action
from bq.trading.ledger import cash_events, intents, marks
from bq.trading.money import PARTS
from bq.trading.positions import CHARGED, PLACE, VIEW

SCHEMA = {"session": pl.Date, "track": pl.String, "pnl": pl.Float64}
Moves = dict[str, dict[dt.date, int]]  # by track and session, in parts


def running(account: str, namespace: str, *, since: dt.date | None = None) -> pl.DataFrame:
    """P&L of each track since its first order, in currency: session, track, pnl; sorted.

    A position without a mark of a session stands at its newest one; one that has none yet at what was paid for it.
    since : only of positions that were decided at the close of that session or later; None: of all.
    """
    moved: Moves = defaultdict(lambda: defaultdict(int))
    with db.engine().connect() as connection:
        earlier = set() if since is None else _decided_before(connection, account, namespace, since)
        for sign, table, column in ((1, VIEW, "cash"), (-1, CHARGED, "amount"), (1, cash_events, "amount")):
            for row in _without(earlier, _rows(connection, table, account, namespace)):
                moved[row.track][row.session] += sign * int(getattr(row, column))
        holdings = _without(earlier, _rows(connection, VIEW, account, namespace))
        marked = _without(earlier, _rows(connection, marks, account, namespace))
    days = sorted({day for by_day in moved.values() for day in by_day} | {row.session for row in marked})
    worth = _values(days, holdings, marked)
    rows = [
        {"session": day, "track": track, "pnl": (total + worth[track][day]) / PARTS}
        for track in sorted(moved)
        for day, total in zip(days, accumulate(moved[track][day] for day in days), strict=True)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _rows(connection: sa.Connection, table: Any, account: str, namespace: str) -> list[sa.Row]:
    own = (table.c.account == account, table.c.namespace == namespace)
    return list(connection.execute(sa.select(*table.c).where(*own)))


def _decided_before(connection: sa.Connection, account: str, namespace: str, since: dt.date) -> set[tuple]:
    """Places whose position was decided before a session."""
    own = (intents.c.account == account, intents.c.namespace == namespace, intents.c.action == Action.OPEN)
    query = sa.select(*(intents.c[name] for name in PLACE)).where(*own, intents.c.session < since)
    return {tuple(row) for row in connection.execute(query)}


def _without(places: set[tuple], rows: list[sa.Row]) -> list[sa.Row]:
    return [row for row in rows if _place(row) not in places]


def _values(days: list[dt.date], holdings: list[sa.Row], marked: list[sa.Row]) -> Moves:
    """What the open positions of each track are worth at the end of each session."""
    changes: dict[tuple, dict[dt.date, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    cash: dict[tuple, dict[dt.date, int]] = defaultdict(lambda: defaultdict(int))
    for row in holdings:
        changes[_place(row)][row.session][row.contract] += int(row.quantity)
        cash[_place(row)][row.session] += int(row.cash)
    known: dict[tuple, dict[dt.date, int]] = defaultdict(dict)
    for row in marked:
        known[_place(row)][row.session] = int(row.value)
    found: Moves = defaultdict(lambda: defaultdict(int))
    for place, by_day in changes.items():
        held: dict[str, int] = defaultdict(int)
        paid, mark = 0, None
        for day in days[days.index(min(by_day)) :]:
            for contract, quantity in by_day.get(day, {}).items():
                held[contract] += quantity
            paid, mark = paid - cash[place].get(day, 0), known[place].get(day, mark)
            if any(held.values()):
                found[place[PLACE.index("track")]][day] += paid if mark is None else mark
    return found


def _place(row: sa.Row) -> tuple:
    return tuple(getattr(row, name) for name in PLACE)
