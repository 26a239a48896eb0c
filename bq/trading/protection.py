"""Protective stops: each is for exactly what is held, so that it can never sell more than that.

A stop is sent with its entry, for all of it. Where that is filled in part, where some of what was held is sold, or
where shares are split, the stop is changed to what is held; where the broker has cancelled it (with the rest of its
entry, at a split, after some quarters) another one is sent; where nothing is held any more it is cancelled. All of it
before anything else is sent: a stop for more than is held would open a position on the other side.
"""

import datetime as dt
import math
from collections.abc import Sequence

import polars as pl

from bq.market.calendars import sessions
from bq.strategies.desk import Kind
from bq.trading import active, gates, ledger, positions
from bq.trading.broker import Look
from bq.trading.intents import Action, Intent, Order, Owner, Tif
from bq.trading.ledger import Stamp
from bq.trading.money import PARTS, parts
from bq.trading.open_order import Open
from bq.trading.positions import Held
from bq.trading.states import Said, State
from bq.trading.trader import Trader, amend, cancel

CENT = PARTS // 100  # a trigger that is nearer than this to where it should be stays
REASON = "stop"  # of the intents of these orders
Place = tuple[Owner, str]


def stops(mine: Sequence[Open]) -> list[Open]:
    """The protective stops that may still be filled."""
    return [one for one in mine if one.order.kind == Kind.STOP and one.order.tif == Tif.GTC and not one.standing.ended]


def of(mine: Sequence[Open], position: str, track: str) -> Open | None:
    """The stop that protects a position; None where there is none."""
    return next((one for one in stops(mine) if (one.position, one.owner.track) == (position, track)), None)


def wanted(stop: Open, mine: Sequence[Open], units: int) -> int | None:
    """Of how many units in all a stop is to be, negative to sell; None: of none. units : held of its position.

    While its entry works and nothing of it is filled, a stop waits as it is.
    """
    entry = next((one for one in mine if one.order.order_ref == stop.order.parent), None)
    works, side = entry is not None and not entry.standing.ended, 1 if stop.order.quantity > 0 else -1
    if units * side >= 0:
        return side * stop.standing.asked if works else None
    return side * (stop.standing.filled + abs(units))


def excessive(mine: Sequence[Open], held: Sequence[Held]) -> list[Open]:
    """The stops at a broker that may sell more than is held."""
    units, found = {_place(one): one.units for one in held}, []
    for stop in stops(mine):
        size = wanted(stop, mine, units.get((stop.owner, stop.position), 0))
        if not stop.standing.may_be_sent and abs(size or 0) < stop.standing.asked:
            found.append(stop)
    return found


def protect(trader: Trader, seen: Look, stamp: Stamp) -> bool:
    """Change every stop to what is held, at its distance below what was paid; whether anything was to be changed.

    A real broker had to be told a price before the fill; the dry-run broker measures the distance itself. What was
    never sent, and is of another quantity than is held, is laid down: `renew` writes another one. Where the account
    holds another number than the ledger, as after a split that is not booked yet, a stop stays as it is.
    """
    mine, account = trader.mine(), trader.broker.account
    if not (protective := stops(mine)):
        return False
    moved, changed = trader.orders.recount(), False
    ours = positions.contracts(account, moved)
    found = {_place(one): one for one in positions.held(account, trader.namespace, moved=moved)}
    for stop in protective:
        contract, held = stop.legs[0].contract, found.get((stop.owner, stop.position))
        if ours.get(contract, 0) != seen.positions.get(contract, 0):
            continue
        size = wanted(stop, mine, held.units if held else 0)
        if stop.standing.may_be_sent:
            if size != stop.order.quantity:
                trader.orders.note(stop.order.order_ref, Said.LAPSED, stamp)
        elif stop.standing.state != State.UNKNOWN:
            changed |= _changed(trader, stop, held, size, stamp)
    return changed


def _changed(trader: Trader, stop: Open, held: Held | None, size: int | None, stamp: Stamp) -> bool:
    if size is None:
        cancel(trader, stop, stamp)
        return True
    price = _trigger(trader, stop.order, held) if held and trader.broker.real and stop.trigger is not None else None
    if price is not None and stop.trigger is not None and abs(price - stop.trigger) < CENT:
        price = None
    resized = abs(size) != stop.standing.asked
    if price is None and not resized:
        return False
    return amend(trader, stop, stamp, price=price, quantity=size if resized else None)


def renew(trader: Trader, held: Sequence[Held]) -> list[tuple[Intent, Order]]:
    """A stop for every position that was opened with one and has none that may be filled; they are to be sent.

    One that the broker would not take, as too many work on its contract and side, is refused.
    """
    if trader.desk.whole_book or gates.stopped() or trader.clock.next_session is None:
        return []
    mine = trader.mine()
    shares = [one for one in held if one.units and len(one.legs) == 1]
    bare = {_place(one): one for one in shares if of(mine, one.position, one.owner.track) is None}
    before = ledger.newest_stops(trader.broker.account, [position for _, position in bare])
    found = []
    for at, order in before.items():
        if at in bare:
            intent = bare[at].intent(Action.CLOSE, -bare[at].units, trader.clock.session, REASON)
            if active.is_full(trader.orders.on_account(), intent.legs, intent.quantity):
                ledger.refuse([(intent, gates.Refusal.CONTRACT_ORDERS)], trader.stamp)
            else:
                found.append((intent, _renewed(trader, bare[at], order)))
    return found


def _renewed(trader: Trader, held: Held, before: Order) -> Order:
    clock = trader.clock
    assert clock.next_session is not None
    return before._replace(
        order_ref=ledger.next_ref(held.owner.track, held.event_id, Action.CLOSE),
        quantity=-held.units,
        session=clock.next_session,
        expires_utc=trader.until or clock.now,
        limit_price=_trigger(trader, before, held),
    )


def _trigger(trader: Trader, stop: Order, held: Held) -> int:
    """Below what was paid, in the shares of now; the distance is one of those of the decision."""
    assert stop.stop_distance is not None
    since = (pl.col("session") > held.event["session"]) & (pl.col("session") <= held.shares_of)
    days: list[dt.date] = sessions(trader.settings.market.calendar).filter(since)["session"].to_list()
    more = math.prod(trader.desk.split(held.symbol, day) for day in days)
    return held.price - parts(stop.stop_distance / PARTS / more)


def _place(one: Held) -> Place:
    return one.owner, one.position
