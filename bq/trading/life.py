"""The life of an order: from the mid towards the collar, then cancelled; what is unsure is cleared up before more."""

from bq.strategies.desk import Kind, Limits
from bq.trading import protection
from bq.trading.broker import Look, Moment, Ticket
from bq.trading.intents import Action
from bq.trading.ledger import Stamp
from bq.trading.money import PARTS, parts
from bq.trading.open_order import Open
from bq.trading.states import LOOKS, Said, State
from bq.trading.trader import Trader, amend, cancel, look, send

TRIES = 3  # of a look that is not answered
AT_WORK = (State.SENT, State.WORKING, State.PARTLY_FILLED)


def manage(trader: Trader) -> None:
    """Look after working orders through the sessions that have passed."""
    for moment in trader.broker.moments(until=trader.clock.session):
        stamp = Stamp(moment.session, moment.at_utc)
        seen = look(trader, stamp, tries=TRIES)
        if seen is None:
            continue
        protection.protect(trader, seen, stamp)
        for one in trader.mine():
            if one.standing.state in AT_WORK and one.order.kind == Kind.LIMIT and one.order.session <= moment.session:
                _work(trader, one, moment, stamp)


def _work(trader: Trader, one: Open, moment: Moment, stamp: Stamp) -> None:
    if moment.last:
        cancel(trader, one, stamp)
        return
    known = _limits(trader, one, moment)
    if known is None:
        return
    price = ladder(known, moment.step, trader.settings.trading.reprice_steps)
    if one.last is None or one.last.limit_price != price:
        amend(trader, one, stamp, price=price)


def _limits(trader: Trader, one: Open, moment: Moment) -> Limits | None:
    """Between which prices it is worked: those of the session, at a real broker, whose session still runs, its own."""
    if trader.broker.real:
        first, last = one.order.limit_price, one.order.last_price
        return None if first is None or last is None else Limits(first / PARTS, last / PARTS)
    quote = trader.desk.quote(one.event, moment.session)
    return quote and trader.desk.limits(one.event, quote, buy=one.order.quantity > 0)


def ladder(limits: Limits, step: int, steps: int) -> int:
    """The limit of a step in parts: from the mid at 0 to the collar at `steps`.

    >>> [ladder(Limits(2.0, 2.3), step, 3) for step in (0, 1, 3, 9)]
    [20000, 21000, 23000, 23000]
    """
    share = min(step, steps) / steps
    return parts(limits.first + share * (limits.last - limits.first))


def clear_up(trader: Trader) -> Look | None:
    """Look until every order is known or certainly not there; returns the last look, None where it was not answered.

    An order is certainly not there when `LOOKS` looks in a row were answered and did not show it. What has become too
    late to be sent is laid down, and what ended in an earlier session is closed.
    """
    seen = look(trader, trader.stamp, tries=TRIES)
    for _ in range(LOOKS + 2):
        if not any(one.standing.state == State.UNKNOWN for one in trader.mine()):
            break
        trader.broker.pause()
        seen = look(trader, trader.stamp, tries=TRIES)
    for one in trader.mine():
        state, ref = one.standing.state, one.order.order_ref
        if state == State.INTENDED and trader.clock.now > one.order.expires_utc:
            trader.orders.note(ref, Said.LAPSED, trader.stamp)
        elif one.standing.ended and one.order.session < trader.clock.session:
            trader.orders.note(ref, Said.CLOSED, trader.stamp)
    return seen


def fit(trader: Trader, seen: Look | None) -> Look | None:
    """Change protective stops until each is for what is held, as far as the broker answers; the last look."""
    for _ in range(TRIES):
        if seen is None or not protection.protect(trader, seen, trader.stamp):
            break
        seen = clear_up(trader)
    return seen


def resend(trader: Trader) -> None:
    """Send what was written down and is certainly not at the broker: a run was killed, or a call was lost."""
    waiting = [one for one in trader.mine() if one.standing.may_be_sent]
    for one in sorted(waiting, key=lambda one: one.order.parent is not None):
        send(trader, ticket(trader, one), trader.stamp)


def ticket(trader: Trader, one: Open) -> Ticket:
    """An order of the ledger as it is sent."""
    beside = None
    if one.action == Action.CLOSE and one.order.parent is None:
        stop = protection.of(trader.mine(), one.position, one.owner.track)
        beside = stop and stop.order.order_ref
    mine, ref = trader.mine(), one.order.order_ref
    followed = any(other.order.parent == ref and other.standing.may_be_sent for other in mine)
    return Ticket(one.order, one.legs, one.action == Action.OPEN, one.event, beside, followed)
