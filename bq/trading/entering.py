"""Entries: what each track opens on the decisions of a scan."""

import datetime as dt
from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.settings import Track
from bq.strategies.desk import Kind, Part, Position, Size
from bq.trading import ledger
from bq.trading.admission import Admission, Meant, State
from bq.trading.broker import NoAnswer, Ticket
from bq.trading.intents import Action, Intent, Order, Owner, Tif
from bq.trading.ledger import intents
from bq.trading.life import ladder
from bq.trading.money import PARTS, parts
from bq.trading.trader import Trader, send

Events = Callable[[], pl.DataFrame]  # the events of the scan's session, all columns


class Scanned(NamedTuple):
    """A scan: its number, its session, and its decisions as they were recorded.

    counts : whether it was made in time and is the first such one of its session; only then it opens anything.
    """

    scan_id: int
    session: dt.date
    decisions: pl.DataFrame
    counts: bool = True


class Opened(NamedTuple):
    """What a track did with a scan. answered : whether its model decided anything; a rule always does.

    wanted, own : how many decisions it would trade, and how many of them are in its own symbols; None of a whole book.
    """

    track: str
    answered: bool
    made: tuple[Intent, ...] = ()
    refused: tuple[tuple[Intent, str], ...] = ()
    wanted: int | None = None
    own: int | None = None


def written(trader: Trader, track: Track) -> set[str]:
    """Events of the session that the track has followed already."""
    query = sa.select(intents.c.event_id).where(
        *ledger.of(Owner(trader.broker.account, trader.namespace, track.name)),
        intents.c.session == trader.clock.session,
        intents.c.refusal.is_(None),
        intents.c.period_end_utc.is_not(None) if trader.desk.whole_book else intents.c.action == Action.OPEN,
    )
    with db.engine().connect() as connection:
        return set(connection.execute(query).scalars())


def follow(trader: Trader, meant: Meant) -> None:
    """Write intents with their orders down, and send these."""
    if not meant:
        return
    trader.orders.propose(meant, trader.stamp)
    protected = {order.parent for _, order in meant}
    for intent, order in meant:
        opening = intent.action == Action.OPEN
        followed = order.order_ref in protected
        send(trader, Ticket(order, intent.legs, opening, intent.event, followed=followed), trader.stamp)


def equity(trader: Trader, track: Track, state: State) -> float:
    """The track's share of the capital, and what it has made up to the session."""
    return track.share * trader.settings.trading.capital + state.results().now.get(track.name, 0) / PARTS


def open_positions(trader: Trader, track: Track, wanted: list[dict[str, Any]], events: Events, state: State) -> Opened:
    """Open a position on each of the wanted events that has no intent yet, best first."""
    done = written(trader, track)
    todo = [row for row in wanted if row["event_id"] not in done]
    if not todo:
        return Opened(track.name, answered=True)
    rows, admission = {row["event_id"]: row for row in events().to_dicts()}, Admission(trader, track, state)
    part = Part(track.share, equity(trader, track, state))
    made: list[Intent] = []
    refused: list[tuple[Intent, str]] = []
    for row in todo:
        if (event := rows.get(row["event_id"])) is None:
            continue  # the events of today's code are not those of the scan
        listed = _listed(trader, event)
        intent, size = _intent(trader, track, listed or event, row["model_id"], part)
        held = _held(trader, track, state)
        able = listed and size.quantity and trader.clock.next_session
        meant = _orders(trader, intent, size) if able else []
        crowded = trader.desk.crowded(intent.event, size, held, part, trader.clock.session) if meant else ""
        if why := admission.refusal(intent, meant, crowded=crowded, listed=listed is not None):
            refused.append((intent, why))
        else:
            follow(trader, meant)
            made.append(intent)
    ledger.refuse(refused, trader.stamp)
    return Opened(track.name, True, tuple(made), tuple(refused))


def _listed(trader: Trader, event: dict[str, Any]) -> dict[str, Any] | None:
    """The event on contracts that the broker lists; None where there are none like its own, or that is not known."""
    wanted = trader.desk.legs(event)
    try:
        legs = trader.broker.listed(wanted)
    except NoAnswer:
        return None
    if legs is None:
        return None
    return event if legs == wanted else dict(trader.desk.relisted(event, legs))


def _intent(
    trader: Trader, track: Track, event: dict[str, Any], model_id: str | None, part: Part
) -> tuple[Intent, Size]:
    desk, session = trader.desk, trader.clock.session
    size = desk.size(event, part.equity, trader.settings.trading.risk_per_trade, session)
    intent = Intent(
        owner=Owner(trader.broker.account, trader.namespace, track.name),
        position=event["event_id"],
        event_id=event["event_id"],
        symbol=event["symbol"],
        action=Action.OPEN,
        session=session,
        quantity=size.quantity,
        source=event["source"],
        event={name: event[name] for name in desk.keeps},
        legs=desk.legs(event),
        risk=parts(size.risk * size.quantity) if size.quantity else None,
        model_id=model_id,
    )
    return intent, size


def _held(trader: Trader, track: Track, state: State) -> list[Position]:
    """What the track holds, and what its orders that may still be filled would hold."""
    waiting = [
        Position(one.event, one.order.quantity, 0.0, one.order.session)
        for one in trader.mine()
        if one.owner.track == track.name and one.action == Action.OPEN and not one.standing.ended
    ]
    return [one.held.as_position() for one in state.held if one.held.owner.track == track.name] + waiting


def _orders(trader: Trader, intent: Intent, size: Size) -> Meant:
    """The order that opens, and the protective stop that goes with it."""
    desk, clock, track = trader.desk, trader.clock, intent.owner.track
    assert clock.next_session is not None
    entry, until = desk.entry(intent.event), trader.until or clock.now
    ref = ledger.next_ref(track, intent.event_id, Action.OPEN)
    order = Order(ref, entry.kind, size.quantity, clock.next_session, until)
    if entry.kind == Kind.LIMIT:
        quote = desk.quote(intent.event, clock.session)
        known = quote and desk.limits(intent.event, quote, buy=size.quantity > 0)
        if known is not None:
            steps = trader.settings.trading.reprice_steps
            order = order._replace(limit_price=ladder(known, 0, steps), last_price=ladder(known, steps, steps))
    if entry.stop_distance is None:
        return [(intent, order)]
    stop = Order(
        ledger.next_ref(track, intent.event_id, Action.CLOSE),
        Kind.STOP,
        -size.quantity,
        clock.next_session,
        until,
        tif=Tif.GTC,
        stop_distance=parts(entry.stop_distance),
        parent=ref,
    )
    closing = intent._replace(action=Action.CLOSE, quantity=-size.quantity, reason="stop", risk=None)
    return [(intent, order), (closing, stop)]
