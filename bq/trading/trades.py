"""Each position that a ledger knows as one trade: when it was opened and closed, what it risked, and what it made."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.trading.intents import Action, legs_of
from bq.trading.ledger import cash_events, intents
from bq.trading.money import PARTS
from bq.trading.positions import CHARGED, VIEW

TRADES = pl.Schema(
    {
        "track": pl.String,
        "symbol": pl.String,
        "event_id": pl.String,
        "decided": pl.Date,
        "opened": pl.Date,
        "closed": pl.Date,
        "pnl": pl.Float64,
        "risk": pl.Float64,
        "turnover": pl.Float64,
        "fees": pl.Float64,
        "source": pl.String,
    }
)


@dataclass
class _Sums:
    """What moved in a position, in parts."""

    cash: int = 0
    turnover: int = 0
    fees: int = 0
    first: dt.date | None = None
    last: dt.date | None = None
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bought: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by what opened it


def of(account: str, namespace: str) -> pl.DataFrame:
    """One row a position that was opened, sorted by when: `TRADES`, in currency.

    closed, pnl : null while any of its contracts is held; pnl is net of fees. risk : the most that the filled units
    could lose by what was meant, null where the strategy names none. decided : the session at whose close.
    """
    sums: dict[tuple[str, str], _Sums] = defaultdict(_Sums)
    with db.engine().connect() as connection:
        for row in connection.execute(_of(VIEW, account, namespace)):
            _move(sums[row.track, row.position], row)
        for table, sign in ((CHARGED, -1), (cash_events, 1)):
            for row in connection.execute(_of(table, account, namespace)):
                one = sums[row.track, row.position]
                one.cash += sign * int(row.amount)
                one.fees += int(row.amount) if sign < 0 else 0
        opened = (intents.c.action == Action.OPEN, intents.c.refusal.is_(None))
        query = _of(intents, account, namespace).where(*opened).order_by(intents.c.intent_id)
        meant = {(row.track, row.position): row for row in connection.execute(query)}
    rows = [_row(one, meant[key]) for key, one in sums.items() if key in meant and one.first is not None]
    return pl.DataFrame(rows, schema=TRADES, orient="row").sort("opened", "track", "event_id")


def _of(table: sa.FromClause, account: str, namespace: str) -> sa.Select:
    return sa.select(*table.c).where(table.c.account == account, table.c.namespace == namespace)


def _move(one: _Sums, row: sa.Row) -> None:
    cash, quantity = int(row.cash), int(row.quantity)
    one.cash += cash
    one.turnover += abs(cash)
    one.held[row.contract] += quantity
    one.last = max(one.last or row.session, row.session)
    if row.action == Action.OPEN:
        one.bought[row.contract] += quantity
        one.first = min(one.first or row.session, row.session)


def _row(one: _Sums, meant: sa.Row) -> tuple:
    over, leg = not any(one.held.values()), legs_of(meant.legs)[0]
    filled = one.bought[leg.contract] / leg.ratio / meant.quantity if meant.quantity else 0.0
    return (
        meant.track,
        meant.symbol,
        meant.event_id,
        meant.session,
        one.first,
        one.last if over else None,
        one.cash / PARTS if over else None,
        None if meant.risk is None else abs(filled) * meant.risk / PARTS,
        one.turnover / PARTS,
        one.fees / PARTS,
        meant.source,
    )
