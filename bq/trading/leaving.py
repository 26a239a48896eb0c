"""Exits: every position is asked, by the strategy's own rule, whether it is closed."""

import datetime as dt
from typing import NamedTuple

from bq.strategies.desk import Exit, Kind, Mark
from bq.trading import gates, ledger
from bq.trading.intents import Action, Intent, Order, order_ref
from bq.trading.ledger import Open
from bq.trading.life import ladder, protective, ticket
from bq.trading.money import parts
from bq.trading.positions import Held
from bq.trading.trader import Trader, send


class Marked(NamedTuple):
    """A position and what a unit of it is worth at the session's close; None: no price is known."""

    held: Held
    mark: Mark | None

    @property
    def value(self) -> int | None:
        """Of all units, in parts."""
        return self.mark and self.held.units * parts(self.mark.value) * self.held.legs[0].multiplier


def marked(trader: Trader, held: list[Held]) -> list[Marked]:
    """Each position with its mark, which is also written down."""
    found = [Marked(one, trader.desk.mark(one.as_position(), trader.clock.session)) for one in held]
    ledger.enter_marks([_row(one, trader.clock.session) for one in found if one.mark is not None])
    return found


def _row(one: Marked, session: dt.date) -> dict:
    held, mark = one
    assert mark is not None
    greeks = {name: held.units * value for name, value in mark.greeks._asdict().items()} if mark.greeks else {}
    place = {**held.owner._asdict(), "position": held.position, "session": session}
    return {**place, "quantity": held.units, "value": one.value, "quoted": mark.quoted, **greeks}


def leave(trader: Trader, found: list[Marked], *, reconciled: bool) -> list[Intent]:
    """Write down and send an order for each position that is to be closed and has none yet; returns the intents."""
    mine, made = trader.mine(), []
    for held, mark in found:
        stop = next(iter(protective(mine, held.position, held.owner.track)), None)
        wanted = trader.desk.exit(held.as_position(stop and stop.trigger), mark, trader.clock.session)
        if wanted is None or held.units == 0 or _is_leaving(mine, held):
            continue
        intent = _intent(trader, held, wanted)
        order = None if (refusal := _refused(trader, held, reconciled=reconciled)) else _order(trader, held, wanted)
        if order is None:
            ledger.refuse(intent, refusal or gates.Refusal.NO_QUOTE, trader.stamp)
            continue
        ledger.propose([(intent, order)], trader.stamp)
        made.append(intent)
        written = next(new for new in trader.mine() if new.order.order_ref == order.order_ref)
        send(trader, ticket(trader, written), trader.stamp)
    return made


def _is_leaving(mine: list[Open], held: Held) -> bool:
    """Whether an order that closes the position may still be filled; a protective stop is none."""
    return any(
        (order.position, order.owner) == (held.position, held.owner)
        and order.action == Action.CLOSE
        and order.order.kind != Kind.STOP
        and not order.standing.ended
        for order in mine
    )


def _intent(trader: Trader, held: Held, wanted: Exit) -> Intent:
    return Intent(
        owner=held.owner,
        position=held.position,
        event_id=held.event_id,
        symbol=held.symbol,
        action=Action.CLOSE,
        session=trader.clock.session,
        quantity=-held.units,
        source=held.source,
        event=held.event,
        legs=held.legs,
        reason=wanted.reason,
        model_id=held.model_id,
    )


def _refused(trader: Trader, held: Held, *, reconciled: bool) -> gates.Refusal | None:
    """The gates that hold for an exit too."""
    if gates.stopped():
        return gates.Refusal.STOPPED
    if not reconciled:
        return gates.Refusal.NOT_RECONCILED
    if held.source == "simulated" and trader.broker.real:
        return gates.Refusal.SIMULATED
    return gates.Refusal.NO_NEXT_SESSION if trader.clock.next_session is None else None


def _order(trader: Trader, held: Held, wanted: Exit) -> Order | None:
    """The closing order; None where a limit is asked for and there is no price."""
    clock, steps = trader.clock, trader.settings.trading.reprice_steps
    assert clock.next_session is not None
    ref = order_ref(
        held.owner.track,
        held.event_id,
        Action.CLOSE,
        1 + ledger.numbered(held.owner.track, held.event_id, Action.CLOSE),
    )
    plain = Order(ref, wanted.kind, -held.units, clock.next_session, trader.until or clock.now)
    if wanted.kind != Kind.LIMIT:
        return plain
    quote = trader.desk.quote(held.event, clock.session)
    known = quote and trader.desk.limits(held.event, quote, buy=held.units < 0)
    if known is None:
        return None
    return plain._replace(limit_price=ladder(known, 0, steps), last_price=ladder(known, steps, steps))
