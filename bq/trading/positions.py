"""Positions and P&L, derived from the ledger and never stored as truth. Money is in parts, see `bq.trading.money`."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.strategies.desk import Leg, Position
from bq.trading.intents import Action, Intent, Owner, from_json, legs_of
from bq.trading.ledger import WHO, cash_events, intents, marks
from bq.trading.money import PARTS
from bq.trading.recount import Fill, Moved, Place, Recount

PLACE = (*WHO, "position")
VIEW = sa.table(
    "v_positions", *map(sa.column, (*PLACE, "action", "contract", "quantity", "cash")), sa.column("session", sa.Date)
)
CHARGED = sa.table("v_commissions", *map(sa.column, (*PLACE, "amount")), sa.column("session", sa.Date))


class Held(NamedTuple):
    """A position as the ledger has it. units : whole ones; odd : contracts beyond these, none where all is well."""

    owner: Owner
    position: str
    symbol: str
    event_id: str
    source: str
    model_id: str | None
    event: dict[str, Any]
    legs: tuple[Leg, ...]
    units: int
    odd: dict[str, int]
    price: int  # paid for a unit on opening it, per share; after a split for one of the new shares
    entered: dt.date
    period_end_utc: dt.datetime | None
    shares_of: dt.date  # the session in whose shares it is counted: of its entry, or of the split that was booked last

    def as_position(self, stop: int | None = None) -> Position:
        """As a desk takes it. stop : the trigger of its protective order."""
        trigger = None if stop is None else stop / PARTS
        return Position(self.event, self.units, self.price / PARTS, self.entered, trigger)

    def intent(
        self, action: Action, quantity: int, session: dt.date, reason: str, legs: tuple[Leg, ...] | None = None
    ) -> Intent:
        """To change it by so many units of its legs, or of some of them."""
        return Intent(
            owner=self.owner,
            position=self.position,
            event_id=self.event_id,
            symbol=self.symbol,
            action=action,
            session=session,
            quantity=quantity,
            source=self.source,
            event=self.event,
            legs=self.legs if legs is None else legs,
            reason=reason,
            model_id=self.model_id,
        )


class Account(NamedTuple):
    """What a track, or all of them, made: the sum of what moved money, and what is held at its last mark."""

    owner: Owner
    cash: int  # of executions
    commissions: int
    events: int  # dividends, settlements and others
    value: int  # of what is open, at the newest marks
    unmarked: int  # open positions without a mark, which are worth what was paid for them

    @property
    def pnl(self) -> int:
        """Profit and loss since the first order, in parts."""
        return self.cash - self.commissions + self.events + self.value


def contracts(account: str, moved: Recount | None = None) -> dict[str, int]:
    """How many of each contract the ledger holds on an account, whoever's they are; no contract with none.

    moved : here and below, what the ledger has of the account, where that is known; None: it is read.
    """
    total: dict[str, int] = defaultdict(int)
    for _, one in (moved or Recount(account)).moved():
        for contract, quantity in one.net.items():
            total[contract] += quantity
    return {contract: quantity for contract, quantity in total.items() if quantity}


def sources(account: str, namespace: str) -> set[str]:
    """By which prices orders on an account were decided: simulated, modelled, real."""
    query = sa.select(intents.c.source).where(
        intents.c.account == account, intents.c.namespace == namespace, intents.c.refusal.is_(None)
    )
    with db.engine().connect() as connection:
        return set(connection.execute(query.distinct()).scalars())


def held(
    account: str,
    namespace: str | None = None,
    *,
    through: dt.date | None = None,
    moved: Recount | None = None,
) -> list[Held]:
    """Every position that was open at the close of a session (None: now), sorted by track and symbol."""
    known = (moved or Recount(account)).moved(namespace, through)
    still_open = {place: one for place, one in known if one.net}
    if not still_open:
        return []
    opening = _opening(account, {place.position for place in still_open})
    found = [_held(one, opening[place]) for place, one in still_open.items()]
    return sorted(found, key=lambda one: (one.owner, one.symbol, one.position))


def _summed(fills: Iterable[Fill]) -> list[Fill]:
    """Of one position: a row for each action, contract and session."""
    total: dict[tuple, Fill] = {}
    for one in fills:
        key = one.action, one.contract, one.session
        known = total.get(key)
        same = known and known._replace(quantity=known.quantity + one.quantity, cash=known.cash + one.cash)
        total[key] = same or one
    return list(total.values())


def _opening(account: str, positions: Collection[str]) -> dict[Place, sa.Row]:
    """The newest opening intent of each position that was followed."""
    query = sa.select(intents).where(
        intents.c.account == account,
        intents.c.position.in_(positions),
        intents.c.action == Action.OPEN,
        intents.c.refusal.is_(None),
    )
    with db.engine().connect() as connection:
        rows = connection.execute(query.order_by(intents.c.intent_id)).all()
    return {Place(Owner(row.account, row.namespace, row.track), row.position): row for row in rows}


def _held(moved: Moved, opening: sa.Row) -> Held:
    legs, net, rows = legs_of(opening.legs), moved.net, _summed(moved.fills)
    ratios = {leg.contract: leg.ratio for leg in legs}
    units = _whole(net, ratios)
    odd = {name: left for name, n in net.items() if (left := n - units * ratios.get(name, 0))}
    paid = -sum(row.cash for row in rows if row.action == Action.OPEN)
    first = [row for row in rows if row.contract == legs[0].contract]
    of = abs(_bought(first)) / abs(legs[0].ratio)
    multiplier, entered = legs[0].multiplier, min(row.session for row in rows if row.action == Action.OPEN)
    return Held(
        Owner(opening.account, opening.namespace, opening.track),
        opening.position,
        opening.symbol,
        opening.event_id,
        opening.source,
        opening.model_id,
        from_json(opening.event),
        legs,
        units,
        odd,
        round(paid / (of * multiplier)) if of else 0,
        entered,
        opening.period_end_utc,
        max([entered, *(row.session for row in first if _splits(row))]),
    )


def _bought(rows: list[Fill]) -> float:
    """How many of a contract were bought, in the shares of now. rows : of one contract, one a session and action.

    A split comes before whatever is filled in its session, and multiplies what was bought by as much as what is held.
    """
    bought, total = 0.0, 0
    for row in sorted(rows, key=lambda row: (row.session, not _splits(row))):
        if _splits(row):
            bought *= (total + row.quantity) / total if total else 1.0
        elif row.action == Action.OPEN:
            bought += row.quantity
        total += row.quantity
    return bought


def _splits(row: Fill) -> bool:
    """Whether these are shares that came or went for nothing (`bq.trading.split`)."""
    return row.action == Action.OPEN and not row.cash


def _whole(net: dict[str, int], ratios: dict[str, int]) -> int:
    """How many whole units are in contracts: the fewest that any leg allows.

    >>> _whole({"a": 3, "b": -4, "c": 2}, {"a": 1, "b": -2, "c": 1}), _whole({"a": -2}, {"a": 1})
    (2, -2)
    """
    shares = [net.get(name, 0) / ratio for name, ratio in ratios.items()]
    if min(shares) >= 0:
        return int(min(shares))
    return -int(min(-share for share in shares)) if max(shares) <= 0 else 0


def accounts(
    account: str,
    namespace: str | None = None,
    *,
    through: dt.date | None = None,
    moved: Recount | None = None,
) -> list[Account]:
    """What each track made, of what happened up to the session `through` (None: all), open positions at their marks."""
    moved = moved or Recount(account)
    totals: dict[Owner, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    paid: dict[Place, int] = {}  # for what is open
    for place, one in moved.moved(namespace, through):
        if one.fills:
            totals[place.owner][0] += one.cash
        if one.net:
            paid[place] = -one.cash
    for owner, amount in moved.charges(namespace, through).items():
        totals[owner][1] += amount
    with db.engine().connect() as connection:
        columns = [cash_events.c[name] for name in WHO]
        query = sa.select(*columns, sa.func.sum(cash_events.c.amount)).group_by(*columns)
        for *key, amount in connection.execute(query.where(*_of(cash_events, account, namespace, through))):
            totals[Owner(*key)][2] += int(amount)
        worth = _newest_marks(connection, account, namespace, through, {place.position for place in paid})
    for place, cost in paid.items():
        totals[place.owner][3] += worth.get(place, cost)
        totals[place.owner][4] += place not in worth
    return [Account(owner, *values) for owner, values in sorted(totals.items())]


def _newest_marks(
    connection: sa.Connection, account: str, namespace: str | None, through: dt.date | None, names: Collection[str]
) -> dict[Place, int]:
    """The last mark of each of these positions."""
    place = [marks.c[name] for name in PLACE]
    newest = sa.select(*place, sa.func.max(marks.c.session, type_=sa.Date).label("session")).group_by(*place)
    last = newest.where(*_of(marks, account, namespace, through), marks.c.position.in_(names)).subquery()
    same = [marks.c[name] == last.c[name] for name in (*PLACE, "session")]
    query = sa.select(*place, marks.c.value).join(last, sa.and_(*same))
    return {Place(Owner(*row[:3]), row[3]): int(row.value) for row in connection.execute(query)}


def _of(table: sa.Table, account: str, namespace: str | None, through: dt.date | None) -> list[sa.ColumnElement[bool]]:
    mine = [table.c.account == account, table.c.session <= (through or dt.date.max)]
    return mine if namespace is None else [*mine, table.c.namespace == namespace]
