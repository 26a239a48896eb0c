"""Splits of shares that are held: overnight there are more of them, or fewer, each worth as much less or more.

No broker tells of them. They are read off the positions: what the account holds is what the ledger holds times the
factor of a split in the days since; whatever else is there stays a difference, and stops new orders.
"""

import datetime as dt
import itertools
from collections.abc import Callable
from typing import NamedTuple

from bq.strategies.desk import Desk, Kind
from bq.trading import ledger
from bq.trading.intents import Action, Order
from bq.trading.ledger import Stamp
from bq.trading.orders import Orders
from bq.trading.positions import Held
from bq.trading.reconcile import Difference

REASON = "split"  # of the intent that books one


class Split(NamedTuple):
    """Shares that a position has gained, negative: lost, for nothing."""

    held: Held
    shares: int
    factor: float


def of(units: int, factor: float) -> int:
    """What so many shares become; a fraction is paid out by the company, and is no share.

    >>> of(100, 2.0), of(-7, 1.5), of(5, 0.5), of(30, 1 / 3)
    (200, -10, 2, 10)
    """
    return int(round(units * factor, 6))


def explained(
    differences: tuple[Difference, ...], held: Callable[[dt.date], list[Held]], desk: Desk, days: list[dt.date]
) -> list[Split]:
    """The differences that a split of one of these sessions but the first explains, for every position in a name.

    held : what was held at the close of a session: that is what a split of the next one multiplies. What was bought or
    sold in the session of the split was ordered in shares of before, and is in shares of after.
    """
    found: list[Split] = []
    for difference in differences:
        for before, day in itertools.pairwise(days):
            factor = desk.split(difference.contract, day)
            mine = [] if factor == 1.0 else [one for one in held(before) if _is_of(one, difference.contract)]
            splits = [Split(one, of(one.units, factor) - one.units, factor) for one in mine]
            if splits and sum(one.shares for one in splits) == difference.theirs - difference.ours:
                found += splits
                break
    return found


def _is_of(one: Held, contract: str) -> bool:
    return bool(one.units) and len(one.legs) == 1 and one.legs[0].strike is None and one.legs[0].contract == contract


def book(one: Split, orders: Orders, stamp: Stamp) -> None:
    """Book it: shares that came for nothing, to the position that held them."""
    held = one.held
    intent = held.intent(Action.OPEN, one.shares, stamp.session, REASON)
    ref = ledger.next_ref(held.owner.track, held.event_id, Action.OPEN)
    order = Order(ref, Kind.OPEN, one.shares, stamp.session, stamp.at_utc)
    orders.book(intent, order, [(held.legs[0].contract, one.shares, 0, 1)], stamp)
