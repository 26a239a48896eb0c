"""Contracts of a position that are no whole unit: an assignment left them, or a leg filled alone. They are closed."""

import datetime as dt

from bq.strategies.desk import Desk, Event, Fill, Leg
from bq.trading.money import parts
from bq.trading.positions import Held

REASON = "odd_legs"  # of the intent that closes them


def legs(held: Held) -> list[tuple[Leg, int]]:
    """Each such contract as a leg of its own, and how many of it are held; what is no leg of a unit is the stock."""
    known = {leg.contract: leg for leg in held.legs}
    return [(known.get(name, Leg(held.symbol))._replace(ratio=1), n) for name, n in sorted(held.odd.items())]


def price(desk: Desk, event: Event, leg: Leg, session: dt.date) -> float | None:
    """What one of them is worth at a session's close, per share: the mid of the leg; None where that is not known."""
    if leg.strike is None:
        return desk.spot(event, session)
    quote = desk.quote(event, session)
    if quote is None:
        return None
    return dict(zip([one.contract for one in desk.legs(event)], quote.legs, strict=True)).get(leg.contract)


def value(desk: Desk, held: Held, session: dt.date) -> int | None:
    """Of all of a position, in parts; None where a price is not known."""
    total = 0
    for leg, n in legs(held):
        worth = price(desk, held.event, leg, session)
        if worth is None:
            return None
        total += n * parts(worth) * leg.multiplier
    return total


def fill(desk: Desk, event: Event, leg: Leg, quantity: int, session: dt.date) -> Fill | None:
    """What a simulated market fills one at: the mid, an option less or plus its part of what the combination pays."""
    mid = price(desk, event, leg, session)
    if mid is None:
        return None
    paid = mid
    quote = desk.quote(event, session)
    known = quote and desk.limits(event, quote, buy=False)
    if leg.strike is not None and known:
        cost = abs(known.first - known.last) / sum(abs(one.ratio) for one in desk.legs(event))
        paid = max(mid + (cost if quantity > 0 else -cost), 0.0)
    return Fill((paid,), 0.0, mid)
