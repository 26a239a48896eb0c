"""Exits: every position is asked, by the strategy's own rule, whether it is closed."""

import datetime as dt
from typing import NamedTuple

from bq.strategies.desk import Exit, Greeks, Kind, Leg, Mark
from bq.trading import active, gates, ledger, odd, protection
from bq.trading.intents import Action, Intent, Order
from bq.trading.life import ladder, ticket
from bq.trading.money import parts
from bq.trading.open_order import Open
from bq.trading.positions import Held
from bq.trading.trader import Trader, send


class Marked(NamedTuple):
    """A position and what a unit of it is worth at the session's close, and all that is no unit, in parts.

    None: no price is known.
    """

    held: Held
    mark: Mark | None
    odd: int | None = 0

    @property
    def value(self) -> int | None:
        """Of all units, in parts."""
        if self.odd is None or (self.mark is None and self.held.units):
            return None
        whole = self.held.units * parts(self.mark.value) * self.held.legs[0].multiplier if self.mark else 0
        return whole + self.odd


def marked(trader: Trader, held: list[Held]) -> list[Marked]:
    """Each position with its mark, which is also written down."""
    desk, session = trader.desk, trader.clock.session
    found = [Marked(one, desk.mark(one.as_position(), session), odd.value(desk, one, session)) for one in held]
    ledger.enter_marks([_row(one, session) for one in found if one.value is not None])
    return found


def _row(one: Marked, session: dt.date) -> dict:
    held, mark, _ = one
    known = mark and mark.greeks
    greeks = {name: known and held.units * getattr(known, name) for name in Greeks._fields}
    place = {**held.owner._asdict(), "position": held.position, "session": session}
    return {**place, "quantity": held.units, "value": one.value, "quoted": mark is not None and mark.quoted, **greeks}


def leave(trader: Trader, found: list[Marked], *, reconciled: bool) -> list[Intent]:
    """Write down and send an order for each position that is to be closed and has none yet; returns the intents."""
    mine, made = trader.mine(), []
    for held, mark, _ in found:
        stop = protection.of(mine, held.position, held.owner.track)
        wanted = trader.desk.exit(held.as_position(stop and stop.trigger), mark, trader.clock.session)
        if wanted is None or held.units == 0 or _is_leaving(mine, held, held.legs):
            continue
        intent = held.intent(Action.CLOSE, -held.units, trader.clock.session, wanted.reason)
        order = (
            None if (refusal := _refused(trader, held, intent, reconciled=reconciled)) else _order(trader, held, wanted)
        )
        if order is None:
            ledger.refuse([(intent, refusal or gates.Refusal.NO_QUOTE)], trader.stamp)
            continue
        _follow(trader, intent, order)
        made.append(intent)
    return made


def close_odd(trader: Trader, found: list[Marked], reconciled: bool) -> list[Intent]:
    """Write down and send an order for each contract that is no whole unit, at the next close; returns the intents.

    Only where the account agrees: the other legs of a fill may still be on their way.
    """
    mine, made = trader.mine(), []
    for held, *_ in found:
        for leg, n in odd.legs(held):
            if _is_leaving(mine, held, (leg,)):
                continue
            intent = held.intent(Action.CLOSE, -n, trader.clock.session, odd.REASON, legs=(leg,))
            if refusal := _refused(trader, held, intent, reconciled=reconciled):
                ledger.refuse([(intent, refusal)], trader.stamp)
                continue
            _follow(trader, intent, _plain(trader, held, Kind.CLOSE, -n))
            made.append(intent)
    return made


def _follow(trader: Trader, intent: Intent, order: Order) -> None:
    """Write a closing order down, and send it."""
    trader.orders.propose([(intent, order)], trader.stamp)
    written = next(new for new in trader.mine() if new.order.order_ref == order.order_ref)
    send(trader, ticket(trader, written), trader.stamp)


def _is_leaving(mine: list[Open], held: Held, legs: tuple[Leg, ...]) -> bool:
    """Whether an order that closes these legs of the position may still be filled; a protective stop is none."""
    return any(
        (order.position, order.owner, order.legs) == (held.position, held.owner, legs)
        and order.action == Action.CLOSE
        and order.order.kind != Kind.STOP
        and not order.standing.ended
        for order in mine
    )


def _refused(trader: Trader, held: Held, intent: Intent, *, reconciled: bool) -> gates.Refusal | None:
    """The gates that hold for an exit too."""
    if gates.stopped():
        return gates.Refusal.STOPPED
    if not reconciled:
        return gates.Refusal.NOT_RECONCILED
    if held.source == "simulated" and trader.broker.real:
        return gates.Refusal.SIMULATED
    if trader.clock.next_session is None:
        return gates.Refusal.NO_NEXT_SESSION
    if active.is_full(trader.orders.on_account(), intent.legs, intent.quantity):
        return gates.Refusal.CONTRACT_ORDERS
    late = trader.broker.real and (trader.until is None or trader.clock.now > trader.until)
    return gates.Refusal.TOO_LATE if late else None  # bars of a session that is long over say nothing of today's prices


def _order(trader: Trader, held: Held, wanted: Exit) -> Order | None:
    """The closing order; None where it needs a limit and there is no price."""
    steps, plain = trader.settings.trading.reprice_steps, _plain(trader, held, wanted.kind, -held.units)
    if wanted.kind != Kind.LIMIT:
        unpriced = trader.broker.real and len(held.legs) > 1  # a combination is never sent to a market without a limit
        return None if unpriced else plain
    quote = trader.desk.quote(held.event, trader.clock.session)
    known = quote and trader.desk.limits(held.event, quote, buy=held.units < 0)
    if known is None:
        return None
    return plain._replace(limit_price=ladder(known, 0, steps), last_price=ladder(known, steps, steps))


def _plain(trader: Trader, held: Held, kind: Kind, quantity: int) -> Order:
    """The next closing order of a position, without a limit."""
    clock, track = trader.clock, held.owner.track
    assert clock.next_session is not None
    ref = ledger.next_ref(track, held.event_id, Action.CLOSE)
    return Order(ref, kind, quantity, clock.next_session, trader.until or clock.now)
