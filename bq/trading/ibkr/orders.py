"""Orders as the client library takes them: time in force always said, prices on the tick, never a nan."""

import math
from typing import Any

from bq.strategies.desk import Kind
from bq.trading.broker import NoAnswer, Ticket
from bq.trading.ibkr.library import ib
from bq.trading.money import PARTS

CANCEL_OTHERS = 1  # ocaType: a fill of one of a group cancels the others
TYPES = {Kind.LIMIT: "LMT", Kind.OPEN: "MKT", Kind.CLOSE: "MOC", Kind.STOP: "STP"}


def order_of(ticket: Ticket, *, tick: float, trigger: float | None = None, parent_id: int = 0) -> Any:
    """The order of a ticket. tick : of its contract. trigger : of a stop. parent_id : of the order that it protects.

    Raises NoAnswer for what is never sent: a combination without a limit, a stop without a trigger.
    """
    order, combination = ticket.order, len(ticket.legs) > 1
    if combination and order.limit_price is None:
        raise NoAnswer(f"{order.order_ref} was not sent: a combination is never ordered without a limit")
    if order.kind == Kind.STOP and trigger is None:
        raise NoAnswer(f"{order.order_ref} was not sent: there is no price to put the stop below")
    single_option = not combination and ticket.legs[0].strike is not None
    made = ib.Order(
        action="BUY" if order.quantity > 0 else "SELL",
        totalQuantity=abs(order.quantity),
        orderType="MKT" if single_option and order.kind == Kind.CLOSE else TYPES[order.kind],  # no option has a MOC
        tif=order.tif.value,
        orderRef=order.order_ref,
        transmit=not ticket.followed,
        parentId=parent_id,
    )
    if order.limit_price is not None and order.kind != Kind.STOP:
        made.lmtPrice = on_tick(order.limit_price, tick, buy=order.quantity > 0)
    if trigger is not None:
        made.auxPrice = on_tick(round(trigger * PARTS), tick, buy=False)
    if combination:
        made.smartComboRoutingParams = [ib.TagValue("NonGuaranteed", "0")]
    together = order.order_ref if order.kind == Kind.STOP else ticket.beside
    if together is not None:
        made.ocaGroup, made.ocaType = together, CANCEL_OTHERS
    return made


def amended(order: Any, price: int | None, quantity: int | None, *, tick: float) -> bool:
    """Give a working order another limit or trigger, and quantity (None: as it is); whether anything is different."""
    field = "auxPrice" if order.orderType == "STP" else "lmtPrice"
    before = (order.totalQuantity, getattr(order, field))
    if price is not None:
        setattr(order, field, on_tick(price, tick, buy=order.action == "BUY"))
    if quantity is not None:
        order.totalQuantity = abs(quantity)
    return before != (order.totalQuantity, getattr(order, field))


def on_tick(price: int, tick: float, *, buy: bool) -> float:
    """A price in parts on the grid of a contract, never dearer for the buyer or cheaper for the seller.

    >>> on_tick(12_345, 0.01, buy=True), on_tick(12_345, 0.05, buy=False), on_tick(-12_345, 0.05, buy=True)
    (1.23, 1.25, -1.25)
    """
    grid = max(round(tick * PARTS), 1)
    whole = math.floor(price / grid) if buy else math.ceil(price / grid)
    return whole * grid / PARTS
