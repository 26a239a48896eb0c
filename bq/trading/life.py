"""The life of an order: from the mid towards the collar, then cancelled; what is unsure is cleared up before more."""

from bq.strategies.desk import Kind, Limits
from bq.trading import positions
from bq.trading.broker import Look, Moment, Ticket
from bq.trading.intents import Action, Tif
from bq.trading.ledger import Open, Stamp
from bq.trading.money import PARTS, parts
from bq.trading.states import LOOKS, Said, State
from bq.trading.trader import Trader, cancel, look, reprice, send

TRIES = 3  # of a look that is not answered
CENT = PARTS // 100
AT_WORK = (State.SENT, State.WORKING, State.PARTLY_FILLED)


def manage(trader: Trader) -> None:
    """Look after working orders through the sessions that have passed."""
    for moment in trader.broker.moments(until=trader.clock.session):
        stamp = Stamp(moment.session, moment.at_utc)
        if look(trader, stamp, tries=TRIES) is None:
            continue
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
        reprice(trader, one, price, stamp)


def _limits(trader: Trader, one: Open, moment: Moment) -> Limits | None:
    """Between which prices it is worked: those of the session, at a real broker, whose session still runs, its own."""
    if trader.broker.real:
        first, last = one.order.limit_price, one.order.last_price
        return None if first is None or last is None else Limits(first / PARTS, last / PARTS)
    quote = trader.desk.quote(one.event, moment.session)
    return quote and trader.desk.limits(one.event, quote, buy=one.order.quantity > 0)


def protect(trader: Trader) -> None:
    """Move each stop to its distance below what was paid, once that is known: a real broker had to be told a price.

    The dry-run broker measures the distance itself.
    """
    paid = {(one.owner, one.position): one for one in positions.held(trader.broker.account, trader.namespace)}
    for one in trader.mine():
        held = paid.get((one.owner, one.position))
        if one.trigger is None or one.order.stop_distance is None or held is None or one.standing.ended:
            continue
        price = held.price - one.order.stop_distance
        if abs(price - one.trigger) >= CENT:
            reprice(trader, one, price, trader.stamp)


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


def resend(trader: Trader) -> None:
    """Send what was written down and is certainly not at the broker: a run was killed, or a call was lost."""
    waiting = [one for one in trader.mine() if one.standing.may_be_sent]
    for one in sorted(waiting, key=lambda one: one.order.parent is not None):
        send(trader, ticket(trader, one), trader.stamp)


def ticket(trader: Trader, one: Open) -> Ticket:
    """An order of the ledger as it is sent."""
    beside = None
    if one.action == Action.CLOSE and one.order.parent is None:
        beside = next(
            (other.order.order_ref for other in protective(trader.mine(), one.position, one.owner.track)), None
        )
    mine, ref = trader.mine(), one.order.order_ref
    followed = any(other.order.parent == ref and other.standing.may_be_sent for other in mine)
    return Ticket(one.order, one.legs, one.action == Action.OPEN, one.event, beside, followed)


def protective(mine: list[Open], position: str, track: str) -> list[Open]:
    """The stops that protect a position."""
    return [
        one
        for one in mine
        if one.order.kind == Kind.STOP
        and one.order.tif == Tif.GTC
        and (one.position, one.owner.track) == (position, track)
        and not one.standing.ended
    ]
