"""Entries: what each track opens on the decisions of a scan, and what the gates keep it from."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.settings import Track
from bq.strategies.desk import Kind, Position, Size
from bq.strategies.policy import EXPECTED, SCORE
from bq.trading import gates, ledger, positions, tracks
from bq.trading.broker import Look, NoAnswer, Ticket
from bq.trading.gates import Facts, Refusal, Rules
from bq.trading.intents import Action, Intent, Order, Owner, Tif, order_ref
from bq.trading.leaving import Marked
from bq.trading.ledger import intents, orders
from bq.trading.life import ladder
from bq.trading.money import PARTS, parts
from bq.trading.trader import Trader, send

Events = Callable[[], pl.DataFrame]  # the events of the scan's session, all columns


class Scanned(NamedTuple):
    """A scan: its number, its session, and its decisions as they were recorded."""

    scan_id: int
    session: dt.date
    decisions: pl.DataFrame


class Opened(NamedTuple):
    """What a track did with a scan. answered : whether its model decided anything; a rule always does."""

    track: str
    answered: bool
    made: tuple[Intent, ...] = ()
    refused: tuple[tuple[Intent, str], ...] = ()


class State(NamedTuple):
    """What is known when a scan's decisions are followed."""

    reconciled: bool
    look: Look | None
    held: list[Marked]
    losses: Mapping[str, float]  # since the session before, by track, in currency


def enter(trader: Trader, scan: Scanned, events: Events, state: State) -> list[Opened]:
    """Follow a scan's decisions, each track its own; also written down is what every track would have done."""
    chosen, settings = trader.settings.trading.tracks, trader.settings
    made = {track.name: tracks.decided(track, scan.decisions, trader.strategy, settings) for track in chosen}
    whose = {row["event_id"]: _whose(trader, row["symbol"], scan.session) for row in scan.decisions.to_dicts()}
    tracks.enter(scan.scan_id, made, whose)
    follow = _rebalance if trader.desk.whole_book else _positions
    found = []
    for track in chosen:
        mine = made[track.name]
        if mine["should_trade"].is_null().all():
            found.append(Opened(track.name, answered=False))
            continue
        found.append(follow(trader, track, scan, mine, events, state))
    return found


def _whose(trader: Trader, symbol: str, session: dt.date) -> str | None:
    trading = trader.settings.trading
    return tracks.assigned(trading.tracks, seed=trading.seed, symbol=symbol, day=session)


# ---- positions of their own


def _positions(trader: Trader, track: Track, scan: Scanned, mine: pl.DataFrame, events: Events, state: State) -> Opened:
    symbols = scan.decisions.select("event_id", "symbol", "model_id", "session")
    wanted = mine.filter("should_trade").join(symbols, on="event_id").sort("rank", "event_id")
    todo = [row for row in wanted.to_dicts() if _whose(trader, row["symbol"], scan.session) == track.name]
    done = _written(trader, track, scan.session)
    todo = [row for row in todo if row["event_id"] not in done]
    if not todo:
        return Opened(track.name, answered=True)
    rows = {row["event_id"]: row for row in events().to_dicts()}
    made: list[Intent] = []
    refused: list[tuple[Intent, str]] = []
    for row in todo:
        event = rows.get(row["event_id"])
        if event is None:
            continue  # the events of today's code are not those of the scan
        intent, orders_, why = _one(trader, track, event, row["model_id"], state, len(made))
        if why:
            ledger.refuse(intent, why, trader.stamp)
            refused.append((intent, why))
            continue
        ledger.propose(orders_, trader.stamp)
        made.append(intent)
        for meant, order in orders_:
            send(trader, Ticket(order, meant.legs, meant.action == Action.OPEN, meant.event), trader.stamp)
    return Opened(track.name, True, tuple(made), tuple(refused))


def _written(trader: Trader, track: Track, session: dt.date) -> set[str]:
    """Events of a session on which the track has an intent or a refusal already."""
    query = sa.select(intents.c.event_id).where(
        intents.c.account == trader.broker.account,
        intents.c.namespace == trader.namespace,
        intents.c.track == track.name,
        intents.c.session == session,
        intents.c.action == Action.OPEN,
    )
    with db.engine().connect() as connection:
        return set(connection.execute(query).scalars())


def _one(
    trader: Trader, track: Track, event: dict[str, Any], model_id: str | None, state: State, before: int
) -> tuple[Intent, list[tuple[Intent, Order]], str]:
    """The intent to open a position on an event, its orders, and why it is refused; empty: it is not.

    before : positions that the track has opened in this run already.
    """
    desk, clock = trader.desk, trader.clock
    equity = _equity(trader, track)
    size = desk.size(event, equity, trader.settings.trading.risk_per_trade, clock.session)
    kept = {name: event[name] for name in desk.keeps}
    intent = Intent(
        owner=Owner(trader.broker.account, trader.namespace, track.name),
        position=event["event_id"],
        event_id=event["event_id"],
        symbol=event["symbol"],
        action=Action.OPEN,
        session=clock.session,
        quantity=size.quantity,
        source=event["source"],
        event=kept,
        legs=desk.legs(event),
        risk=parts(size.risk * size.quantity) if size.quantity else None,
        model_id=model_id,
    )
    made = _orders(trader, intent, size) if size.quantity and clock.next_session else []
    why = _refusal(trader, track, intent, made, state, before)
    if why is None:
        mine = [one.held.as_position() for one in state.held if one.held.owner.track == track.name]
        crowded = desk.crowded(kept, size, [*mine, *_on_the_way(trader, track)], equity, clock.session)
        return intent, made, crowded
    return intent, made, why


def _on_the_way(trader: Trader, track: Track) -> list[Position]:
    """What the track's orders that may still be filled would hold, as positions."""
    return [
        Position(one.event, one.order.quantity, 0.0, one.order.session)
        for one in trader.mine()
        if one.owner.track == track.name and one.action == Action.OPEN and not one.standing.ended
    ]


def _equity(trader: Trader, track: Track) -> float:
    """The track's share of the capital, and what it has made."""
    made = {one.owner.track: one.pnl for one in positions.accounts(trader.broker.account, trader.namespace)}
    return track.share * trader.settings.trading.capital + made.get(track.name, 0) / PARTS


def _orders(trader: Trader, intent: Intent, size: Size) -> list[tuple[Intent, Order]]:
    """The order that opens, and the protective stop that goes with it."""
    desk, clock, track = trader.desk, trader.clock, intent.owner.track
    assert clock.next_session is not None
    entry, until = desk.entry(intent.event), trader.until or clock.now
    ref = order_ref(track, intent.event_id, Action.OPEN, 1 + ledger.numbered(track, intent.event_id, Action.OPEN))
    order = Order(ref, entry.kind, size.quantity, clock.next_session, until)
    if entry.kind == Kind.LIMIT:
        quote = desk.quote(intent.event, clock.session)
        known = quote and desk.limits(intent.event, quote, buy=size.quantity > 0)
        if known is not None:
            steps = trader.settings.trading.reprice_steps
            order = order._replace(limit_price=ladder(known, 0, steps), last_price=ladder(known, steps, steps))
    if entry.stop_distance is None:
        return [(intent, order)]
    number = 1 + ledger.numbered(track, intent.event_id, Action.CLOSE)
    stop = Order(
        order_ref(track, intent.event_id, Action.CLOSE, number),
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


# ---- a whole book


def _rebalance(trader: Trader, track: Track, scan: Scanned, mine: pl.DataFrame, events: Events, state: State) -> Opened:
    """Send the differences between what a book of all names is to hold and what it holds."""
    held = [one.held for one in state.held if one.held.owner.track == track.name]
    if _written(trader, track, scan.session) or not trader.desk.due(_period_end(trader, track), scan.session):
        return Opened(track.name, answered=True)
    known = events()
    by = EXPECTED if track.decides == "champion" else SCORE
    rows = known.drop(EXPECTED, strict=False).join(
        scan.decisions.select("event_id", pl.col(EXPECTED).cast(pl.Float64)), on="event_id", how="left"
    )
    equity, now = _equity(trader, track), {one.symbol: one.units for one in held}
    wanted = trader.desk.targets(rows, by, now, equity, trader.clock.session)
    models = dict(scan.decisions.select("event_id", "model_id").rows()) if by == EXPECTED else {}
    by_symbol = {row["symbol"]: row for row in known.to_dicts()}
    made: list[Intent] = []
    refused: list[tuple[Intent, str]] = []
    meant: list[tuple[Intent, Order]] = []
    for symbol in sorted(wanted.keys() | now.keys()):
        change, event = wanted.get(symbol, 0) - now.get(symbol, 0), by_symbol.get(symbol)
        if not change or event is None:
            continue
        intent = _change(trader, track, event, models.get(event["event_id"]), change, now.get(symbol, 0))
        why = _refusal(trader, track, intent, order := _book_order(trader, intent), state, 0)
        if why is not None:
            ledger.refuse(intent, why, trader.stamp)
            refused.append((intent, why))
            continue
        meant += order
        made.append(intent)
    ledger.propose(meant, trader.stamp)
    for intent, order in meant:
        send(trader, Ticket(order, intent.legs, intent.action == Action.OPEN, intent.event), trader.stamp)
    return Opened(track.name, True, tuple(made), tuple(refused))


def _period_end(trader: Trader, track: Track) -> dt.datetime | None:
    """When the period that a track's book was last formed for ends."""
    query = sa.select(intents.c.period_end_utc).where(
        intents.c.account == trader.broker.account,
        intents.c.namespace == trader.namespace,
        intents.c.track == track.name,
        intents.c.refusal.is_(None),
        intents.c.period_end_utc.is_not(None),
    )
    with db.engine().connect() as connection:
        return connection.execute(query.order_by(intents.c.intent_id.desc()).limit(1)).scalar()


def _change(trader: Trader, track: Track, event: dict[str, Any], model_id: str | None, change: int, now: int) -> Intent:
    larger = abs(now + change) > abs(now)
    return Intent(
        owner=Owner(trader.broker.account, trader.namespace, track.name),
        position=event["symbol"],
        event_id=event["event_id"],
        symbol=event["symbol"],
        action=Action.OPEN if larger else Action.CLOSE,
        session=trader.clock.session,
        quantity=change,
        source=event["source"],
        event={name: event[name] for name in trader.desk.keeps},
        legs=trader.desk.legs(event),
        model_id=model_id,
        period_end_utc=event["t1_due"],
    )


def _book_order(trader: Trader, intent: Intent) -> list[tuple[Intent, Order]]:
    clock, track = trader.clock, intent.owner.track
    if clock.next_session is None:
        return []
    ref = order_ref(track, intent.event_id, intent.action, 1 + ledger.numbered(track, intent.event_id, intent.action))
    kind = trader.desk.entry(intent.event).kind
    return [(intent, Order(ref, kind, intent.quantity, clock.next_session, trader.until or clock.now))]


# ---- gates


def _refusal(
    trader: Trader, track: Track, intent: Intent, made: list[tuple[Intent, Order]], state: State, before: int
) -> Refusal | None:
    trading, clock, desk = trader.settings.trading, trader.clock, trader.desk
    same = [one.held for one in state.held if one.held.owner.track == track.name]
    quote = desk.quote(intent.event, clock.session)
    opens = not desk.whole_book
    expiries = [leg.expiry for leg in intent.legs if leg.expiry is not None]
    by_track, by_account = _orders_of(trader)
    shorts = made and made[0][1]
    facts = Facts(
        stopped=gates.stopped(),
        reconciled=state.reconciled,
        simulated=intent.source == "simulated",
        real=trader.broker.real,
        paper=trader.broker.paper,
        now=clock.now,
        until=trader.until,
        allowed=trading.symbols is None or intent.symbol in trading.symbols,
        held=opens and (any(one.symbol == intent.symbol for one in same) or _ordered(trader, track, intent.symbol)),
        positions=len(same) + before if opens else 0,
        track_loss=state.losses.get(track.name, 0.0),
        account_loss=sum(state.losses.values()),
        track_orders=by_track.get(track.name, 0),
        account_orders=by_account,
        quote=quote,
        quote_session=clock.session,
        session=clock.session,
        limits=quote and desk.limits(intent.event, quote, buy=intent.quantity > 0),
        quantity=intent.quantity,
        days_to_expiry=(min(expiries) - (clock.next_session or clock.session)).days if expiries else None,
        margin=_margin(trader, intent, made) if shorts else 0.0,
        available=None if state.look is None else state.look.available / PARTS,
    )
    return gates.refusal(facts, rules(trader, track))


def rules(trader: Trader, track: Track) -> Rules:
    """The limits of a track and its account."""
    trading = trader.settings.trading
    return Rules(
        track_loss=trading.max_daily_loss * trading.capital * track.share,
        account_loss=trading.max_daily_loss * trading.capital,
        track_orders=tracks.limit_of(track, trading.max_daily_orders),
        account_orders=trading.max_daily_orders,
        positions=tracks.limit_of(track, trading.max_positions),
        close_before_expiry_days=trading.close_before_expiry_days,
    )


def _margin(trader: Trader, intent: Intent, made: list[tuple[Intent, Order]]) -> float | None:
    """Funds that an order binds; 0 for one that sets some free, None where the broker does not say."""
    if intent.action == Action.CLOSE:
        return 0.0
    try:
        return trader.broker.margin(Ticket(made[0][1], intent.legs, True, intent.event)) / PARTS
    except NoAnswer:
        return None


def _ordered(trader: Trader, track: Track, symbol: str) -> bool:
    """Whether an order that opens a position in the symbol may still be filled."""
    return any(
        (one.symbol, one.owner.track, one.action) == (symbol, track.name, Action.OPEN) and not one.standing.ended
        for one in trader.mine()
    )


def _orders_of(trader: Trader) -> tuple[dict[str, int], int]:
    """Orders for the next session: of each track of the namespace, and of the whole account."""
    query = sa.select(intents.c.namespace, intents.c.track, sa.func.count()).join(
        orders, orders.c.intent_id == intents.c.intent_id
    )
    mine = query.where(intents.c.account == trader.broker.account, orders.c.session == trader.clock.next_session)
    with db.engine().connect() as connection:
        rows = connection.execute(mine.group_by(intents.c.namespace, intents.c.track)).all()
    return {track: n for name, track, n in rows if name == trader.namespace}, sum(n for *_, n in rows)
