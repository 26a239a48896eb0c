"""Positions and P&L, derived from the ledger and never stored as truth. Money is in parts, see `bq.trading.money`."""

import datetime as dt
from collections import defaultdict
from typing import Any, NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.strategies.desk import Leg, Position
from bq.trading.intents import Action, Intent, Owner, from_json, legs_of
from bq.trading.ledger import WHO, cash_events, executions, intents, marks, orders
from bq.trading.money import PARTS

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


def contracts(account: str) -> dict[str, int]:
    """How many of each contract the ledger holds on an account, whoever's they are; no contract with none."""
    query = sa.select(VIEW.c.contract, sa.func.sum(VIEW.c.quantity)).where(VIEW.c.account == account)
    with db.engine().connect() as connection:
        rows = connection.execute(query.group_by(VIEW.c.contract)).all()
    return {contract: int(quantity) for contract, quantity in rows if quantity}


def strangers(account: str) -> list[str]:
    """Ids of executions on an account that are of no order of the ledger."""
    query = sa.select(executions.c.exec_id).outerjoin(orders, orders.c.order_ref == executions.c.order_ref)
    with db.engine().connect() as connection:
        found = connection.execute(query.where(executions.c.account == account, orders.c.order_ref.is_(None)))
        return list(found.scalars())


def sources(account: str, namespace: str) -> set[str]:
    """By which prices orders on an account were decided: simulated, modelled, real."""
    query = sa.select(intents.c.source).where(
        intents.c.account == account, intents.c.namespace == namespace, intents.c.refusal.is_(None)
    )
    with db.engine().connect() as connection:
        return set(connection.execute(query.distinct()).scalars())


def held(account: str, namespace: str | None = None, *, through: dt.date | None = None) -> list[Held]:
    """Every position that was open at the close of a session (None: now), sorted by track and symbol."""
    sums = (sa.func.sum(VIEW.c.quantity).label("quantity"), sa.func.sum(VIEW.c.cash).label("cash"))
    keys = [VIEW.c[name] for name in (*PLACE, "action", "contract", "session")]
    query = sa.select(*keys, *sums).group_by(*keys)
    parts: dict[tuple, list[sa.Row]] = defaultdict(list)
    with db.engine().connect() as connection:
        whole = _still_open(connection, account, namespace, through)
        names = sorted({place[3] for place in whole})
        for row in _rows(connection, query.where(VIEW.c.position.in_(names)), VIEW, account, namespace, through):
            parts[tuple(row[:4])].append(row)
        opening = _opening(connection, account, names)
    found = [_held(parts[place], opening[place]) for place in whole]
    return sorted(found, key=lambda one: (one.owner, one.symbol, one.position))


def _net(rows: list[sa.Row]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for row in rows:
        total[row.contract] += int(row.quantity)
    return dict(total)


def _opening(connection: sa.Connection, account: str, positions: list[str]) -> dict[tuple, sa.Row]:
    """The newest opening intent of each position that was followed."""
    query = sa.select(intents).where(
        intents.c.account == account,
        intents.c.position.in_(positions),
        intents.c.action == Action.OPEN,
        intents.c.refusal.is_(None),
    )
    rows = connection.execute(query.order_by(intents.c.intent_id)).all()
    return {(row.account, row.namespace, row.track, row.position): row for row in rows}


def _held(rows: list[sa.Row], opening: sa.Row) -> Held:
    legs, net = legs_of(opening.legs), _net(rows)
    ratios = {leg.contract: leg.ratio for leg in legs}
    units = _whole(net, ratios)
    odd = {name: left for name, n in net.items() if (left := n - units * ratios.get(name, 0))}
    paid = -sum(int(row.cash) for row in rows if row.action == Action.OPEN)
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


def _bought(rows: list[sa.Row]) -> float:
    """How many of a contract were bought, in the shares of now. rows : of one contract, one a session and action.

    A split comes before whatever is filled in its session, and multiplies what was bought by as much as what is held.
    """
    bought, total = 0.0, 0
    for row in sorted(rows, key=lambda row: (row.session, not _splits(row))):
        if _splits(row):
            bought *= (total + int(row.quantity)) / total if total else 1.0
        elif row.action == Action.OPEN:
            bought += int(row.quantity)
        total += int(row.quantity)
    return bought


def _splits(row: sa.Row) -> bool:
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


def accounts(account: str, namespace: str | None = None, *, through: dt.date | None = None) -> list[Account]:
    """What each track made, of what happened up to the session `through` (None: all), open positions at their marks."""
    totals: dict[tuple, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    paid: dict[tuple, int] = defaultdict(int)
    still_open: set[tuple] = set()
    with db.engine().connect() as connection:
        for *place, quantity, cash in _moved(connection, account, namespace, through):
            totals[tuple(place[:3])][0] += int(cash)
            paid[tuple(place)] -= int(cash)
            if quantity:
                still_open.add(tuple(place))
        for at, table in ((1, CHARGED), (2, cash_events)):
            columns = [table.c[name] for name in WHO]
            query = sa.select(*columns, sa.func.sum(table.c.amount)).group_by(*columns)
            for *key, amount in _rows(connection, query, table, account, namespace, through):
                totals[tuple(key)][at] += int(amount)
        worth = _newest_marks(connection, account, namespace, through)
    for held_at in still_open:
        totals[held_at[:3]][3] += worth.get(held_at, paid[held_at])
        totals[held_at[:3]][4] += held_at not in worth
    return [Account(Owner(*whose), *values) for whose, values in sorted(totals.items())]


def _moved(connection: sa.Connection, account: str, namespace: str | None, through: dt.date | None) -> list[sa.Row]:
    """How many of a contract each position holds, and the cash that it moved: one row a position and contract."""
    keys = [VIEW.c[name] for name in PLACE]
    sums = (sa.func.sum(VIEW.c.quantity), sa.func.sum(VIEW.c.cash))
    query = sa.select(*keys, *sums).group_by(*keys, VIEW.c.contract)
    return _rows(connection, query, VIEW, account, namespace, through)


def _still_open(connection: sa.Connection, account: str, namespace: str | None, through: dt.date | None) -> set[tuple]:
    """Places with contracts in them, of what happened up to a session (None: all)."""
    keys = [VIEW.c[name] for name in PLACE]
    query = sa.select(*keys).group_by(*keys, VIEW.c.contract).having(sa.func.sum(VIEW.c.quantity) != 0)
    return {tuple(row) for row in _rows(connection, query, VIEW, account, namespace, through)}


def _rows(
    connection: sa.Connection,
    query: sa.Select,
    table: Any,
    account: str,
    namespace: str | None,
    through: dt.date | None,
) -> list[sa.Row]:
    until = [] if through is None else [table.c.session <= through]
    return list(connection.execute(query.where(*_of(table, account, namespace), *until)))


def _of(table: Any, account: str, namespace: str | None) -> list[sa.ColumnElement[bool]]:
    mine = [table.c.account == account]
    return mine if namespace is None else [*mine, table.c.namespace == namespace]


def _newest_marks(
    connection: sa.Connection, account: str, namespace: str | None, through: dt.date | None
) -> dict[tuple, int]:
    place = [marks.c[name] for name in PLACE]
    newest = sa.select(*place, sa.func.max(marks.c.session, type_=sa.Date).label("session")).group_by(*place)
    until = [] if through is None else [marks.c.session <= through]
    last = newest.where(*_of(marks, account, namespace), *until).subquery()
    same = [marks.c[name] == last.c[name] for name in (*PLACE, "session")]
    query = sa.select(*place, marks.c.value).join(last, sa.and_(*same))
    return {tuple(row[:4]): int(row.value) for row in connection.execute(query)}
