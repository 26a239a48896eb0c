"""What the gateway says of an account, as the ledger takes it: orders, executions, commissions, positions, funds."""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bq.core.errors import BadParameters
from bq.trading.broker import Charged, Executed, NoAnswer, Seen, Status
from bq.trading.ibkr.contracts import BAG, name_of
from bq.trading.money import parts

UNSET = 1.7976931348623157e308  # a number that was not given, also as text
CURRENCY = "USD"
ENDED = {
    "Filled": Status.FILLED,
    "Cancelled": Status.CANCELLED,
    "ApiCancelled": Status.CANCELLED,
    "Inactive": Status.REJECTED,
}

Session = Callable[[dt.datetime], dt.date]


def number(text: Any) -> float | None:
    """A number that may be text, empty or unset.

    >>> number("1234.5"), number("1.7976931348623157E308"), number(""), number("nan")
    (1234.5, None, None, None)
    """
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value < UNSET else None


def seen(opened: Iterable[Any], completed: Iterable[Any]) -> tuple[Seen, ...]:
    """The orders of an account. What is listed as open works, whatever a warning has made of its status meanwhile."""
    working = {_seen(trade, Status.WORKING): None for trade in opened if trade.order.orderRef}  # news come in between
    there = {(one.order_ref, one.perm_id) for one in working}
    ended = [
        _seen(trade, ENDED[trade.orderStatus.status])
        for trade in completed
        if trade.order.orderRef and trade.orderStatus.status in ENDED
    ]
    return (*working, *(one for one in ended if (one.order_ref, one.perm_id) not in there))


def _seen(trade: Any, status: Status) -> Seen:
    order = trade.order
    price = number(order.auxPrice if order.orderType == "STP" else order.lmtPrice)
    priced = order.orderType in ("STP", "LMT") and price is not None
    units = round(order.totalQuantity) * (1 if order.action == "BUY" else -1)  # of what is over it is 0
    known = parts(price) if priced and price is not None else None
    return Seen(order.orderRef, order.permId, status, known, units if status == Status.WORKING else None)


def executed(fills: Iterable[Any], account: str, refs: Mapping[int, str], session: Session) -> tuple[Executed, ...]:
    """The executions of an account. refs : orders by permId, for an execution that came without its orderRef."""
    return tuple(_executed(fill, refs, session) for fill in fills if fill.execution.acctNumber == account)


def _executed(fill: Any, refs: Mapping[int, str], session: Session) -> Executed:
    one, at = fill.execution, fill.execution.time
    contract = name_of(fill.contract)
    return Executed(
        exec_id=one.execId,
        order_ref=one.orderRef or refs.get(one.permId, ""),
        perm_id=one.permId,
        whole=contract == BAG,
        contract=contract,
        quantity=_whole(one.shares, contract) * (1 if one.side.startswith("B") else -1),
        price=parts(one.price),
        multiplier=int(float(fill.contract.multiplier or 1)),
        session=session(at),
        at_utc=at,
    )


def charged(fills: Iterable[Any]) -> tuple[Charged, ...]:
    """Commissions that have been told. fills : as the client library keeps them, where reports are filled in."""
    told = [(one.execution.execId, number(one.commissionReport.commission)) for one in fills if _is_told(one)]
    return tuple(Charged(name, parts(amount)) for name, amount in told if amount is not None)


def _is_told(fill: Any) -> bool:
    return bool(fill.commissionReport.execId)


def positions(held: Iterable[Any], account: str) -> dict[str, int]:
    """Contracts held on an account."""
    found: dict[str, int] = {}
    for one in held:
        if one.account == account and one.position:
            name = name_of(one.contract)
            found[name] = found.get(name, 0) + _whole(one.position, name)
    return found


def value_of(values: Iterable[Any], account: str, tag: str) -> int:
    """One of the values of an account. Raises NoAnswer where it was not told, BadParameters in another currency."""
    for one in values:
        if one.account == account and one.tag == tag and one.currency not in ("", "BASE"):
            amount = number(one.value)
            if one.currency != CURRENCY:
                raise BadParameters(
                    f"the base currency of the account must be {CURRENCY}, as that of the strategies is, but that of "
                    f"{account} is {one.currency}. Set it in the account's settings at IBKR."
                )
            if amount is not None:
                return parts(amount)
    raise NoAnswer(f"IBKR: {account} tells no {tag}")


def margin(state: Any) -> int:
    """What an order would bind, of a what-if. Raises NoAnswer where it says nothing."""
    change = number(getattr(state, "initMarginChange", None))
    if change is None:
        raise NoAnswer("IBKR: the what-if told no margin")
    return parts(max(change, 0.0))


def _whole(amount: float, name: str) -> int:
    if amount != int(amount):
        raise NoAnswer(f"IBKR: {amount} of {name} is no whole number")
    return int(amount)
