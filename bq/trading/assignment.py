"""Exercise, assignment and expiry: what happens to option legs overnight, with no word from the broker.

It is read off the positions: a leg of an option is gone, and the shares that it delivers are there, or it was past its
expiry. What can be explained so is booked to the track that held the leg, at the strike, and alerts; whatever cannot be
stays a difference, and stops new orders.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.strategies.desk import Kind, Leg, Right
from bq.trading import ledger, settlement
from bq.trading.intents import Action, Order
from bq.trading.ledger import Stamp
from bq.trading.money import parts
from bq.trading.orders import Orders
from bq.trading.positions import Held
from bq.trading.reconcile import Difference

Worth = Callable[[Held, Leg], float | None]  # of a contract at its expiry, per share; None: not known
Missing = dict[str, int]  # by contract: theirs less ours, as far as it is not explained


class What(StrEnum):
    """How a leg went."""

    ASSIGNED = "assigned"  # short: shares were delivered or taken
    EXERCISED = "exercised"  # long
    SETTLED = "settled"  # for cash, by the price of its index
    EXPIRED = "expired"  # worthless


class Gone(NamedTuple):
    """Contracts of a leg that a position does not hold any more, and the shares or the cash that came for them."""

    held: Held
    leg: Leg
    what: What
    contracts: int  # of the leg, with the sign of what was held
    shares: int
    price: float = 0.0  # what was paid for a contract, per share


def explained(differences: tuple[Difference, ...], held: list[Held], today: dt.date, worth: Worth) -> list[Gone]:
    """The differences that an expiry, an assignment or an exercise explains; all of one leg or nothing of it.

    A call that is exercised brings shares for the strike, one that is assigned takes them; a put the other way round.
    At an expiry the shares of all legs of a symbol come as one sum.
    """
    missing = {one.contract: one.theirs - one.ours for one in differences}
    gone = _taken(missing, held)
    return [*_at_expiry(missing, gone, today, worth), *_before(missing, gone, today)]


def _taken(missing: Missing, held: list[Held]) -> list[Gone]:
    """Legs of which contracts are gone, as if nothing came for them; none of a contract that was not held so often."""
    mine: dict[str, list[tuple[Held, Leg, int]]] = defaultdict(list)
    for position in held:
        for leg in position.legs:
            contracts = position.units * leg.ratio + position.odd.get(leg.contract, 0)
            if leg.strike is not None and contracts:
                mine[leg.contract].append((position, leg, contracts))
    found: list[Gone] = []
    for name, holders in mine.items():
        change, total = missing.get(name, 0), sum(contracts for *_, contracts in holders)
        if change * total >= 0 or abs(change) > abs(total):
            continue
        for position, leg, contracts in holders:
            if change * contracts >= 0:
                continue
            part = contracts if abs(contracts) <= abs(change) else -change
            change += part
            found.append(Gone(position, leg, What.EXPIRED, part, 0))
    return found


def _at_expiry(missing: Missing, gone: list[Gone], today: dt.date, worth: Worth) -> list[Gone]:
    """Of legs that are past their expiry: what is worth something is paid for in cash or shares, the rest not."""
    found: list[Gone] = []
    for symbol in sorted({one.leg.symbol for one in gone if _is_over(one.leg, today)}):
        over = [_settled(one, worth) for one in gone if one.leg.symbol == symbol and _is_over(one.leg, today)]
        ended = [one for one in over if one is not None]
        if len(ended) == len(over) and sum(one.shares for one in ended) == missing.get(symbol, 0):
            found += ended
            _explain(missing, ended)
    return found


def _is_over(leg: Leg, today: dt.date) -> bool:
    """Whether a leg is gone by its expiry: after its day, or on it where the open settled it."""
    return leg.expiry is not None and (today > leg.expiry or (today == leg.expiry and leg.root in settlement.BY_OPEN))


def _settled(one: Gone, worth: Worth) -> Gone | None:
    """What an expired leg became; None where its worth is not known."""
    value = worth(one.held, one.leg)
    if value is None:
        return None
    if value < settlement.EXERCISED_FROM:
        return one
    if settlement.in_cash(one.leg):
        return one._replace(what=What.SETTLED, price=value)
    return _delivered(one)


def _before(missing: Missing, gone: list[Gone], today: dt.date) -> list[Gone]:
    """Of legs that have not expired: each by the shares that it delivers, where these are there."""
    found: list[Gone] = []
    for one in gone:
        if _is_over(one.leg, today) or settlement.in_cash(one.leg):
            continue
        delivered = _delivered(one)
        there = missing.get(one.leg.symbol, 0)
        if there * delivered.shares > 0 and abs(there) >= abs(delivered.shares):
            found.append(delivered)
            _explain(missing, [delivered])
    return found


def _delivered(one: Gone) -> Gone:
    side = 1 if one.leg.right == Right.CALL else -1
    what = What.ASSIGNED if one.contracts < 0 else What.EXERCISED
    return one._replace(what=what, shares=one.contracts * side * one.leg.multiplier)


def _explain(missing: Missing, gone: list[Gone]) -> None:
    for one in gone:
        missing[one.leg.contract] += one.contracts
        missing[one.leg.symbol] = missing.get(one.leg.symbol, 0) - one.shares


def book(gone: Gone, orders: Orders, stamp: Stamp) -> None:
    """Book it: the leg is closed for nothing, or for what it settled at; shares are bought or sold at the strike."""
    held, leg = gone.held, gone.leg
    assert leg.strike is not None
    ref = ledger.next_ref(held.owner.track, held.event_id, Action.CLOSE)
    intent = held.intent(Action.CLOSE, -gone.contracts, stamp.session, gone.what)
    order = Order(ref, Kind.CLOSE, -gone.contracts, stamp.session, stamp.at_utc)
    moves = [(leg.contract, -gone.contracts, parts(gone.price), leg.multiplier)]
    if gone.shares:
        moves.append((leg.symbol, gone.shares, parts(leg.strike), 1))
    orders.book(intent, order, moves, stamp)


def booked(account: str, namespace: str, *, since: dt.date) -> list[sa.Row]:
    """What was booked so in the sessions from `since` on, oldest first: session, track, symbol, reason, quantity."""
    columns = [ledger.intents.c[name] for name in ("session", "track", "symbol", "reason", "quantity")]
    own = (ledger.intents.c.account == account, ledger.intents.c.namespace == namespace)
    query = sa.select(*columns).where(
        *own, ledger.intents.c.reason.in_([one.value for one in What]), ledger.intents.c.session >= since
    )
    with db.engine().connect() as connection:
        return list(connection.execute(query.order_by(ledger.intents.c.intent_id)).all())
