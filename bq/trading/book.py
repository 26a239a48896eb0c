"""A whole book: what is sent is the difference between what it is to hold and what it holds."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.settings import Track
from bq.strategies.policy import EXPECTED, SCORE
from bq.trading import ledger
from bq.trading.admission import Admission, Meant, State
from bq.trading.entering import Events, Opened, Scanned, equity, follow, written
from bq.trading.intents import Action, Intent, Order, Owner
from bq.trading.ledger import intents
from bq.trading.positions import Held
from bq.trading.trader import Trader

Event = Mapping[str, Any]


def rebalance(trader: Trader, track: Track, scan: Scanned, events: Events, state: State) -> Opened:
    """Form a track's book anew where its period has ended; all its orders are written down at once."""
    held = {one.held.symbol: one.held for one in state.held if one.held.owner.track == track.name}
    if written(trader, track) or not trader.desk.due(_period_end(trader, track), scan.session):
        return Opened(track.name, answered=True)
    by = EXPECTED if track.decides == "champion" else SCORE
    rows = rows_of(events(), scan.decisions)
    now = {symbol: one.units for symbol, one in held.items()}
    wanted = trader.desk.targets(rows, by, now, equity(trader, track, state), trader.clock.session)
    known = {row["symbol"]: row for row in rows.to_dicts()}
    admission = Admission(trader, track, state)
    meant: Meant = []
    refused: list[tuple[Intent, str]] = []
    for symbol, change in changes(wanted, now):
        intent = _intent(trader, track, change, known.get(symbol), held.get(symbol))
        if by == SCORE:
            intent = intent._replace(model_id=None)
        sent = _order(trader, intent)
        if why := admission.refusal(intent, sent):
            refused.append((intent, why))
        else:
            meant += sent
    ledger.refuse(refused, trader.stamp)
    follow(trader, meant)
    return Opened(track.name, True, tuple(intent for intent, _ in meant), tuple(refused))


def rows_of(events: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """The session's events with what was expected of each when it was decided."""
    said = decisions.select("event_id", "model_id", pl.col(EXPECTED).cast(pl.Float64))
    return events.drop(EXPECTED, "model_id", strict=False).join(said, on="event_id", how="left", maintain_order="left")


def changes(wanted: Mapping[str, int], now: Mapping[str, int]) -> list[tuple[str, int]]:
    """Shares to buy of each name, negative to sell; what sets funds free comes first.

    >>> changes({"A": 5, "B": 1}, {"B": 3, "C": 2})
    [('B', -2), ('C', -2), ('A', 5)]
    """
    apart = {name: wanted.get(name, 0) - now.get(name, 0) for name in sorted(wanted.keys() | now.keys())}
    larger = {name: abs(wanted.get(name, 0)) > abs(now.get(name, 0)) for name in apart}
    return sorted(((name, n) for name, n in apart.items() if n), key=lambda one: larger[one[0]])


def _period_end(trader: Trader, track: Track) -> dt.datetime | None:
    """When the period that a track's book was last formed for ends."""
    query = sa.select(intents.c.period_end_utc).where(
        *ledger.of(Owner(trader.broker.account, trader.namespace, track.name)),
        intents.c.refusal.is_(None),
        intents.c.period_end_utc.is_not(None),
    )
    with db.engine().connect() as connection:
        return connection.execute(query.order_by(intents.c.intent_id.desc()).limit(1)).scalar()


def _intent(trader: Trader, track: Track, change: int, event: Event | None, held: Held | None) -> Intent:
    """The change of one name; a name that is no event any more is sold by what it was bought on."""
    before = held.units if held else 0
    if event is not None:
        kept: Event = {name: event[name] for name in trader.desk.keeps}
        facts = (event["event_id"], event["symbol"], event["source"], event["model_id"], event["t1_due"])
    else:
        assert held is not None
        kept, facts = held.event, (held.event_id, held.symbol, held.source, held.model_id, held.period_end_utc)
    event_id, symbol, source, model_id, ends = facts
    return Intent(
        owner=Owner(trader.broker.account, trader.namespace, track.name),
        position=symbol,
        event_id=event_id,
        symbol=symbol,
        action=Action.OPEN if abs(before + change) > abs(before) else Action.CLOSE,
        session=trader.clock.session,
        quantity=change,
        source=source,
        event=kept,
        legs=trader.desk.legs(kept),
        model_id=model_id,
        period_end_utc=ends if event is not None else None,
    )


def _order(trader: Trader, intent: Intent) -> Meant:
    clock, track = trader.clock, intent.owner.track
    if clock.next_session is None:
        return []
    ref = ledger.next_ref(track, intent.event_id, intent.action)
    kind = trader.desk.entry(intent.event).kind
    return [(intent, Order(ref, kind, intent.quantity, clock.next_session, trader.until or clock.now))]
