"""What trading cost, against what the strategy's own pricing says that it costs."""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.strategies.desk import Asked, Desk, Fill
from bq.trading import ledger, odd
from bq.trading.intents import Action
from bq.trading.ledger import commissions, executions
from bq.trading.money import PARTS
from bq.trading.open_order import Open

NEWEST = 500  # orders that are looked at


class Cost(NamedTuple):
    """Of the filled orders of a track, in currency; positive: paid. The reference is the price without any cost."""

    track: str
    orders: int
    unpriced: int  # orders for whose session the pricing knows no fill; in no sum
    paid: float  # beyond the reference, in prices
    modelled: float  # the same of the strategy's fill
    commissions: float
    modelled_fees: float

    @property
    def slippage(self) -> float:
        """Paid beyond what the strategy's pricing fills at."""
        return self.paid - self.modelled


def of(
    desk: Desk, account: str, namespace: str, *, newest: int = NEWEST, positions: Collection[str] | None = None
) -> list[Cost]:
    """The costs of each track's newest filled orders, sorted by track.

    newest : orders that are looked at. positions : whose orders count; None: all.
    """
    looked_at = ledger.every(account, namespace, newest=newest)  # those never sent were booked overnight
    filled = [one for one in looked_at if one.standing.filled and one.standing.sendings]
    filled = [one for one in filled if positions is None or one.position in positions]
    fills = _fills([one.order.order_ref for one in filled])
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0, 0.0, 0.0])
    for one in filled:
        total = sums[one.owner.track]
        total[0] += 1
        each = [_cost(desk, one, rows) for rows in fills[one.order.order_ref].values()]
        known = [cost for cost in each if cost is not None]
        if len(known) < len(each) or not each:
            total[1] += 1
            continue
        for cost in known:
            for place, amount in enumerate(cost):
                total[2 + place] += amount
    return [Cost(track, int(total[0]), int(total[1]), *total[2:]) for track, total in sorted(sums.items())]


def _fills(refs: list[str]) -> dict[str, dict]:
    """Executions of orders, by order and session: of the newest revision, of legs, with the commission of each."""
    later, paid = executions.alias(), commissions.alias()
    corrected = sa.exists().where(later.c.base == executions.c.base, later.c.revision > executions.c.revision)
    newest = sa.select(paid.c.base, sa.func.max(paid.c.revision).label("last")).group_by(paid.c.base).subquery()
    charged = (
        sa.select(paid.c.base, paid.c.amount)
        .join(newest, sa.and_(newest.c.base == paid.c.base, newest.c.last == paid.c.revision))
        .subquery()
    )
    query = (
        sa.select(executions, charged.c.amount)
        .outerjoin(charged, charged.c.base == executions.c.base)
        .where(executions.c.order_ref.in_(refs), ~corrected)
    )
    found: dict[str, dict] = defaultdict(lambda: defaultdict(list))
    with db.engine().connect() as connection:
        for row in connection.execute(query):
            found[row.order_ref][row.session].append(row)
    return found


def _cost(desk: Desk, one: Open, rows: list[sa.Row]) -> tuple[float, float, float, float] | None:
    """paid, modelled, commissions and modelled fees of an order's fills in a session."""
    legs = [row for row in rows if not row.whole]
    units = sum(row.quantity for row in legs if row.contract == one.legs[0].contract) // one.legs[0].ratio
    if not units:
        return None
    fill = _modelled(desk, one, units, legs[0])
    if fill is None:
        return None
    multiplier = one.legs[0].multiplier
    cash = sum(row.quantity * row.price * row.multiplier for row in legs) / PARTS
    net = sum(leg.ratio * price for leg, price in zip(one.legs, fill.legs, strict=True))
    reference = units * multiplier * fill.reference
    fees = sum(row.amount or 0 for row in rows) / PARTS
    return cash - reference, units * multiplier * net - reference, fees, fill.fee


def _modelled(desk: Desk, one: Open, units: int, row: sa.Row) -> Fill | None:
    if one.legs != desk.legs(one.event):
        return odd.fill(desk, one.event, one.legs[0], units, row.session)
    trigger = None if one.trigger is None else one.trigger / PARTS
    return desk.fill(one.event, Asked(one.order.kind, units, one.action == Action.OPEN, trigger), row.session)
