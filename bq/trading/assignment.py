"""Exercise, assignment and expiry: what happens to option legs overnight, with no word from the broker.

It is read off the positions: a leg of an option is gone, and the shares that it delivers are there, or it was past its
expiry. What can be explained so is booked to the track that held the leg, at the strike, and alerts; whatever cannot be
stays a difference, and stops new orders.
"""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from bq.strategies.desk import Kind, Leg, Right
from bq.trading import ledger
from bq.trading.intents import Action, Intent, Order, order_ref
from bq.trading.ledger import Stamp
from bq.trading.money import parts
from bq.trading.positions import Held
from bq.trading.reconcile import Difference


class What(StrEnum):
    """How a leg went."""

    ASSIGNED = "assigned"  # short: shares were delivered or taken
    EXERCISED = "exercised"  # long
    EXPIRED = "expired"  # worthless


class Gone(NamedTuple):
    """Contracts of a leg that a position does not hold any more, and the shares that came for them."""

    held: Held
    leg: Leg
    what: What
    contracts: int  # of the leg, with the sign of what was held
    shares: int


def explained(differences: tuple[Difference, ...], held: list[Held], today: dt.date) -> list[Gone]:
    """The differences that an assignment, an exercise or an expiry explains; all of one leg or nothing of it.

    A call that is exercised brings shares for the strike, one that is assigned takes them; a put the other way round.
    """
    missing = {one.contract: one.theirs - one.ours for one in differences}
    found: list[Gone] = []
    for position in held:
        for leg in position.legs:
            mine = position.units * leg.ratio
            change = missing.get(leg.contract, 0)
            if leg.strike is None or not mine or change * mine >= 0 or abs(change) > abs(mine):
                continue
            side = 1 if leg.right == Right.CALL else -1
            shares = -change * side * leg.multiplier
            what = _what(leg, mine, shares, missing, today)
            if what is None:
                continue
            came = 0 if what == What.EXPIRED else shares
            missing[leg.contract] = 0
            missing[leg.symbol] = missing.get(leg.symbol, 0) - came
            found.append(Gone(position, leg, what, -change, came))
    return found


def _what(leg: Leg, mine: int, shares: int, missing: Mapping[str, int], today: dt.date) -> What | None:
    there = missing.get(leg.symbol, 0)
    if there * shares > 0 and abs(there) >= abs(shares):
        return What.ASSIGNED if mine < 0 else What.EXERCISED
    return What.EXPIRED if leg.expiry is not None and today > leg.expiry and there == 0 else None


def book(gone: Gone, stamp: Stamp) -> None:
    """Book it: the leg is closed for nothing, the shares are bought or sold at the strike."""
    held, leg = gone.held, gone.leg
    assert leg.strike is not None
    number = 1 + ledger.numbered(held.owner.track, held.event_id, Action.CLOSE)
    ref = order_ref(held.owner.track, held.event_id, Action.CLOSE, number)
    intent = Intent(
        owner=held.owner,
        position=held.position,
        event_id=held.event_id,
        symbol=held.symbol,
        action=Action.CLOSE,
        session=stamp.session,
        quantity=-gone.contracts,
        source=held.source,
        event=held.event,
        legs=held.legs,
        reason=gone.what,
        model_id=held.model_id,
    )
    order = Order(ref, Kind.CLOSE, -gone.contracts, stamp.session, stamp.at_utc)
    moves = [(leg.contract, -gone.contracts, 0, leg.multiplier)]
    if gone.shares:
        moves.append((leg.symbol, gone.shares, parts(leg.strike), 1))
    ledger.book(intent, order, moves, stamp)
