"""The ledger: append-only tables of what was meant, sent, said and filled. Positions and P&L follow from it."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.strategies.desk import Greeks, Kind
from bq.trading.broker import Charged, Executed, Look
from bq.trading.intents import Action, Intent, Order, Owner, Tif, as_json, from_json, legs_as_json, legs_of, order_ref
from bq.trading.open_order import Open, news
from bq.trading.states import Note, Said, exec_id, standing

WHO = ("account", "namespace", "track")

intents = sa.Table(  # what was meant, and what was refused
    "intents",
    db.metadata,
    sa.Column("intent_id", sa.Integer, primary_key=True),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("namespace", sa.String, nullable=False, index=True),
    sa.Column("track", sa.String, nullable=False),
    sa.Column("position", sa.String, nullable=False),
    sa.Column("event_id", sa.String, nullable=False),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("at_utc", db.UTC, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("risk", sa.BigInteger),
    sa.Column("reason", sa.String),
    sa.Column("refusal", sa.String),  # gates.Refusal, or what the strategy's own limits say; null: it was not refused
    sa.Column("model_id", sa.String),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("period_end_utc", db.UTC),
    sa.Column("event", sa.JSON, nullable=False),
    sa.Column("legs", sa.JSON, nullable=False),
)

orders = sa.Table(  # written before they are sent
    "orders",
    db.metadata,
    sa.Column("order_ref", sa.String, primary_key=True),
    sa.Column("intent_id", sa.Integer, sa.ForeignKey(intents.c.intent_id), index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("tif", sa.String, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("limit_price", sa.BigInteger),
    sa.Column("last_price", sa.BigInteger),
    sa.Column("stop_distance", sa.BigInteger),
    sa.Column("parent", sa.String),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("expires_utc", db.UTC, nullable=False),
)

order_events = sa.Table(  # what was done to an order and what the broker said about it
    "order_events",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_ref", sa.String, sa.ForeignKey(orders.c.order_ref), index=True),
    sa.Column("said", sa.String, nullable=False),
    sa.Column("perm_id", sa.BigInteger),
    sa.Column("limit_price", sa.BigInteger),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("at_utc", db.UTC, nullable=False),
    sa.Column("details", sa.JSON(none_as_null=True)),
)

executions = sa.Table(  # as the broker gave them; a correction is a row of its own
    "executions",
    db.metadata,
    sa.Column("exec_id", sa.String, primary_key=True),
    sa.Column("base", sa.String, nullable=False, index=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("order_ref", sa.String, nullable=False, index=True),
    sa.Column("perm_id", sa.BigInteger),
    sa.Column("whole", sa.Boolean, nullable=False),  # of a combination as one, whose legs are rows beside it
    sa.Column("contract", sa.String, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("multiplier", sa.BigInteger, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("at_utc", db.UTC, nullable=False),
)

commissions = sa.Table(
    "commissions",
    db.metadata,
    sa.Column("exec_id", sa.String, primary_key=True),
    sa.Column("base", sa.String, nullable=False, index=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
)

marks = sa.Table(  # of each open position at each session
    "marks",
    db.metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in (*WHO, "position")),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("value", sa.BigInteger, nullable=False),  # of all units
    sa.Column("quoted", sa.Boolean, nullable=False),
    *(sa.Column(name, sa.Float) for name in Greeks._fields),  # of all units
)

cash_events = sa.Table(  # money that no execution moves
    "cash_events",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.String, nullable=False) for name in (*WHO, "position", "kind")),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("at_utc", db.UTC, nullable=False),
    sa.Column("details", sa.JSON(none_as_null=True)),
)

track_decisions = sa.Table(  # what each track would have done with every event of a scan
    "track_decisions",
    db.metadata,
    sa.Column("scan_id", sa.Integer, sa.ForeignKey("scans.scan_id"), primary_key=True),
    sa.Column("track", sa.String, primary_key=True),
    sa.Column("event_id", sa.String, primary_key=True),
    sa.Column("assigned", sa.Boolean, nullable=False),
    sa.Column("should_trade", sa.Boolean),  # null: its model did not answer
    sa.Column("rank", sa.Integer),
)


_ENTER = intents.insert().returning(intents.c.intent_id)


class Stamp(NamedTuple):
    """When something is written: the session that has closed, and the time."""

    session: dt.date
    at_utc: dt.datetime


def of(owner: Owner) -> list[sa.ColumnElement[bool]]:
    """Conditions for the intents of an owner."""
    return [intents.c[name] == value for name, value in owner._asdict().items()]


def propose(meant: Sequence[tuple[Intent, Order]], stamp: Stamp) -> None:
    """Write intents with the order of each, all or none, before anything is sent."""
    with db.engine().begin() as connection:
        for intent, order in meant:
            number = connection.execute(_ENTER, _intent(intent, stamp)).scalar_one()
            connection.execute(orders.insert(), {**order._asdict(), "intent_id": number})


def book(intent: Intent, order: Order, moves: Sequence[tuple[str, int, int, int]], stamp: Stamp) -> None:
    """Write what happened without an order of ours: an intent, an order that is over, and what moved.

    moves : contract, quantity, price and multiplier of each.
    """
    with db.engine().begin() as connection:
        number = connection.execute(_ENTER, _intent(intent, stamp)).scalar_one()
        connection.execute(orders.insert(), {**order._asdict(), "intent_id": number})
        over = {"order_ref": order.order_ref, "said": Said.CLOSED, "session": stamp.session, "at_utc": stamp.at_utc}
        connection.execute(order_events.insert(), over)
        rows = [
            Executed(f"{order.order_ref}.{n}.01", order.order_ref, 0, False, *move, stamp.session, stamp.at_utc)
            for n, move in enumerate(moves)
        ]
        connection.execute(executions.insert(), [_execution(row, intent.owner.account) for row in rows])


def refuse(refused: Sequence[tuple[Intent, str]], stamp: Stamp) -> None:
    """Write down intents that are not followed, each with the reason; of a session once."""
    rows = [_intent(one, stamp, why) for one, why in refused]
    with db.engine().begin() as connection:
        _insert_new(connection, intents, rows, key=(*WHO, "event_id", "action", "session", "refusal"))


def _intent(intent: Intent, stamp: Stamp, refusal: str | None = None) -> dict[str, Any]:
    values = {**intent._asdict(), **intent.owner._asdict(), "at_utc": stamp.at_utc, "refusal": refusal}
    values |= {"event": as_json(intent.event), "legs": legs_as_json(intent.legs)}
    return {column.name: values[column.name] for column in intents.c if column.name in values}


def note(order_ref: str, one: Note, stamp: Stamp) -> None:
    """Write down what was done to an order, or said about it."""
    with db.engine().begin() as connection:
        connection.execute(order_events.insert(), _note(order_ref, one, stamp))


def _note(order_ref: str, one: Note, stamp: Stamp) -> dict[str, Any]:
    size = None if one.quantity is None else {"quantity": one.quantity}
    row = {"order_ref": order_ref, "said": one.said, "perm_id": one.perm_id, "limit_price": one.limit_price}
    return {**row, **stamp._asdict(), "details": size}


def next_ref(track: str, event_id: str, action: Action) -> str:
    """The name of a track's next order for an event: numbered behind those that there are."""
    prefix = order_ref(track, event_id, action, 0).removesuffix("0")
    with db.engine().connect() as connection:
        query = sa.select(sa.func.count()).where(orders.c.order_ref.startswith(prefix, autoescape=True))
        return order_ref(track, event_id, action, 1 + connection.execute(query).scalar_one())


def numbered_orders(account: str) -> dict[int, str]:
    """The orders of an account by the numbers that the broker gave them; one order may have several."""
    query = (
        sa.select(order_events.c.perm_id, order_events.c.order_ref)
        .join(orders, orders.c.order_ref == order_events.c.order_ref)
        .join(intents, intents.c.intent_id == orders.c.intent_id)
        .where(intents.c.account == account, order_events.c.perm_id > 0)
    )
    with db.engine().connect() as connection:
        return {row.perm_id: row.order_ref for row in connection.execute(query.distinct())}


def newest_stops(account: str, names: Sequence[str]) -> dict[tuple[Owner, str], Order]:
    """The last protective stop that was written for each of these positions, by owner and position."""
    if not names:
        return {}
    query = _orders(account, None).where(
        intents.c.position.in_(names), orders.c.kind == Kind.STOP, orders.c.stop_distance.is_not(None)
    )
    return {(one.owner, one.position): one.order for one in _read(query.order_by(orders.c.intent_id))}


def is_filled(order_ref: str) -> bool:
    """Whether anything of an order is known to be filled."""
    query = sa.select(executions.c.exec_id).where(executions.c.order_ref == order_ref).limit(1)
    with db.engine().connect() as connection:
        return connection.execute(query).first() is not None


def adopt(
    look: Look,
    mine: Sequence[Open],
    account: str,
    stamp: Stamp,
    *,
    fills: Sequence[Executed] | None = None,
    paid: Sequence[Charged] | None = None,
) -> tuple[dict[str, list[Note]], list[Executed]]:
    """Write down what a look shows and the ledger does not have yet, in one transaction; what was new, notes by order.

    mine : open orders, as from `opened`. Executions and commissions are kept whosever they are; an order of ours that
    the look does not show is noted as absent. fills, paid : those of the look that may be new; None: all.
    """
    told = news(look, mine)
    notes = [_note(ref, one, stamp) for ref, said in told.items() for one in said]
    executed = [_execution(one, account) for one in (look.executions if fills is None else fills)]
    charged = [_commission(one) for one in (look.commissions if paid is None else paid)]
    if not (notes or executed or charged):
        return {}, []
    with db.engine().begin() as connection:
        if notes:
            connection.execute(order_events.insert(), notes)
        new = _insert_new(connection, executions, executed, key=("exec_id",))
        _insert_new(connection, commissions, charged, key=("exec_id",))
    return told, [Executed(*(row[name] for name in Executed._fields)) for row in new]


def _execution(one: Executed, account: str) -> dict[str, Any]:
    base, revision = exec_id(one.exec_id)
    return {**one._asdict(), "base": base, "revision": revision, "account": account}


def _commission(one: Charged) -> dict[str, Any]:
    base, revision = exec_id(one.exec_id)
    return {**one._asdict(), "base": base, "revision": revision}


def _insert_new(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], *, key: Sequence[str]
) -> list[dict[str, Any]]:
    """Write rows whose key the table does not have, and return them; of equal ones the first."""
    if not rows:
        return []
    given = {tuple(row[name] for name in key): row for row in reversed(rows)}
    there = [table.c[name].in_({row[name] for row in rows}) for name in key]
    known = {tuple(row) for row in connection.execute(sa.select(*(table.c[name] for name in key)).where(*there))}
    new = [row for place, row in reversed(given.items()) if place not in known]
    if new:
        connection.execute(table.insert(), new)
    return new


def opened(
    account: str, namespace: str | None = None, *, among: Collection[str] | None = None, but: str | None = None
) -> list[Open]:
    """Every order whose day is not over, in the order in which they were written.

    among : of these alone; None: all. but : a namespace whose orders are left out.
    """
    closed = sa.exists().where(order_events.c.order_ref == orders.c.order_ref, order_events.c.said == Said.CLOSED)
    query = _orders(account, namespace).where(~closed)
    if among is not None:
        query = query.where(orders.c.order_ref.in_(among))
    if but is not None:
        query = query.where(intents.c.namespace != but)
    return _read(query.order_by(orders.c.intent_id, orders.c.order_ref))


def every(account: str, namespace: str, *, newest: int) -> list[Open]:
    """The newest orders, whatever became of them, the last first."""
    return _read(_orders(account, namespace).order_by(orders.c.intent_id.desc(), orders.c.order_ref).limit(newest))


def _orders(account: str, namespace: str | None) -> sa.Select:
    joined = sa.select(orders, intents).join(intents, intents.c.intent_id == orders.c.intent_id)
    query = joined.where(intents.c.account == account)
    return query if namespace is None else query.where(intents.c.namespace == namespace)


def _read(query: sa.Select) -> list[Open]:
    with db.engine().connect() as connection:
        rows = connection.execute(query).all()
        if not rows:
            return []
        refs = [row.order_ref for row in rows]
        notes, fills = _notes(connection, refs), _fills(connection, refs)
    return [_open(row, notes.get(row.order_ref, []), fills.get(row.order_ref, [])) for row in rows]


def _open(row: sa.Row, notes: Sequence[Note], fills: Sequence[Executed]) -> Open:
    values = row._mapping
    order = Order(
        **{name: values[orders.c[name]] for name in Order._fields if name not in ("kind", "tif")},
        kind=Kind(values[orders.c.kind]),
        tif=Tif(values[orders.c.tif]),
    )
    intended = Open(
        Owner(*(values[intents.c[name]] for name in WHO)),
        values[intents.c.intent_id],
        Action(values[intents.c.action]),
        values[intents.c.position],
        values[intents.c.symbol],
        order,
        legs_of(values[intents.c.legs]),
        from_json(values[intents.c.event]),
        standing(order.quantity, (), ()),
    )
    return intended.since(notes, fills)


def _notes(connection: sa.Connection, refs: list[str]) -> dict[str, list[Note]]:
    query = sa.select(order_events).where(order_events.c.order_ref.in_(refs)).order_by(order_events.c.id)
    found: dict[str, list[Note]] = {}
    for row in connection.execute(query):
        size = row.details and row.details.get("quantity")
        found.setdefault(row.order_ref, []).append(Note(Said(row.said), row.perm_id, size, row.limit_price))
    return found


def _fills(connection: sa.Connection, refs: list[str]) -> dict[str, list[Executed]]:
    query = sa.select(*(executions.c[name] for name in Executed._fields)).where(executions.c.order_ref.in_(refs))
    found: dict[str, list[Executed]] = {}
    for row in connection.execute(query):
        found.setdefault(row.order_ref, []).append(Executed(*row))
    return found


def enter_marks(rows: Sequence[dict[str, Any]]) -> None:
    """Write the marks of a session; one that is there already stays."""
    with db.engine().begin() as connection:
        _insert_new(connection, marks, rows, key=(*WHO, "position", "session"))
