"""Messages as the client library's `client.py` sends them and its `decoder.py` reads them, at server version 176."""

import datetime as dt
import struct
from typing import Any

from .book import ACCOUNT, PARTS, Exec, Placed, Spec

FIELDS_AFTER_LEGS = 32  # of an order, from the empty one to deltaNeutralAuxPrice
UNSET = "1.7976931348623157E308"


def frame(*fields: Any) -> bytes:
    """One message."""
    body = "".join(f"{_text(field)}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


def _text(field: Any) -> str:
    if field is None:
        return ""
    return str(int(field)) if isinstance(field, bool) else str(field)


class Reader:
    """The fields of a message, one after the other."""

    def __init__(self, fields: list[str]) -> None:
        self._fields, self._at = fields, 0

    def take(self) -> str:
        """The next one."""
        self._at += 1
        return self._fields[self._at - 1]

    def skip(self, count: int) -> None:
        """So many."""
        self._at += count

    def number(self) -> float | None:
        """The next one as a number; None where it is empty."""
        text = self.take()
        return float(text) if text else None


class Asked:
    """A contract that is asked for: the twelve fields that `Client.send` makes of one."""

    def __init__(self, read: Reader) -> None:
        self.con_id, self.symbol, self.sec_type = int(read.take() or 0), read.take(), read.take()
        self.expiry, self.strike, self.right = read.take(), float(read.take() or 0.0), read.take()
        self.multiplier, self.exchange, self.primary, self.currency = (read.take() for _ in range(4))
        self.local, self.trading_class = read.take(), read.take()


class Order:
    """A message 3, as far as a broker looks at it."""

    def __init__(self, fields: list[str]) -> None:
        read = Reader(fields)
        read.skip(1)
        self.order_id, self.contract = int(read.take()), Asked(read)
        read.skip(2)  # secIdType, secId
        self.action, self.quantity, self.kind = read.take(), int(float(read.take())), read.take()
        self.limit, self.trigger, self.tif, self.group = read.number(), read.number(), read.take(), read.take()
        self.account = read.take()
        read.skip(2)  # openClose, origin
        self.ref, self.transmit, self.parent_id = read.take(), read.take() == "1", int(read.take() or 0)
        read.skip(6)  # blockOrder … hidden
        self.legs: tuple[tuple[int, int, str], ...] = ()
        self.params: dict[str, str] = {}
        if self.contract.sec_type == "BAG":
            legs = []
            for _ in range(int(read.take())):
                legs.append((int(read.take()), int(read.take()), read.take()))
                read.skip(5)
            self.legs = tuple(legs)
            read.skip(int(read.take()))  # prices of legs
            self.params = {read.take(): read.take() for _ in range(int(read.take()))}
        read.skip(FIELDS_AFTER_LEGS)
        read.skip(7 + 4)  # continuousUpdate … scalePriceIncrement; scaleTable … hedgeType
        read.skip(4 + 1 + 1 + 1)  # optOutSmartRouting … notHeld, no delta-neutral contract, no algo, algoId
        self.what_if = read.take() == "1"


CONTRACT = "conId symbol secType expiry strike right multiplier exchange currency localSymbol tradingClass"
ORDER = "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef"
OPEN_ORDER = f"""
orderId {CONTRACT} {ORDER} clientId permId outsideRth hidden discretionaryAmt goodAfterTime _ faGroup faMethod
faPercentage faProfile modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot designatedLocation
exemptCode auctionStrategy startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize blockOrder
sweepToFill allOrNone minQty ocaType eTradeOnly firmQuoteOnly nbboPriceCap parentId triggerMethod volatility
volatilityType deltaNeutralOrderType deltaNeutralAuxPrice continuousUpdate referencePriceType trailStopPrice
trailingPercent basisPoints basisPointsType comboLegsDescrip LEGS scaleInitLevelSize scaleSubsLevelSize
scalePriceIncrement hedgeType optOutSmartRouting clearingAccount clearingIntent notHeld deltaNeutralContract
algoStrategy solicited whatIf status initMarginBefore maintMarginBefore equityWithLoanBefore initMarginChange
maintMarginChange equityWithLoanChange initMarginAfter maintMarginAfter equityWithLoanAfter commission minCommission
maxCommission commissionCurrency warningText randomizeSize randomizePrice conditions adjustedOrderType triggerPrice
trailStopPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit
softDollarName softDollarVal softDollarDisplayName cashQty dontUseAutoPriceForHedge isOmsContainer
discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts autoCancelParent minTradeQty minCompeteSize
competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf""".split()
COMPLETED_ORDER = f"""
{CONTRACT} {ORDER} permId outsideRth hidden discretionaryAmt goodAfterTime faGroup faMethod faPercentage faProfile
modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot designatedLocation exemptCode startingPrice
stockRefPrice delta stockRangeLower stockRangeUpper displaySize sweepToFill allOrNone minQty ocaType triggerMethod
volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice continuousUpdate referencePriceType trailStopPrice
trailingPercent comboLegsDescrip LEGS scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement hedgeType
clearingAccount clearingIntent notHeld deltaNeutralContract algoStrategy solicited status randomizeSize randomizePrice
conditions trailStopPrice lmtPriceOffset cashQty dontUseAutoPriceForHedge isOmsContainer autoCancelDate filledQuantity
refFuturesConId autoCancelParent shareholder imbalanceOnly routeMarketableToBbo parentPermId completedTime
completedStatus minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf""".split()


def contract(spec: Spec) -> dict[str, Any]:
    """Its fields by name."""
    values = (
        *(spec.con_id, spec.symbol, spec.sec_type, spec.expiry, spec.strike, spec.right, spec.multiplier),
        *(spec.exchange, "USD", spec.symbol, spec.trading_class),
    )
    return dict(zip(CONTRACT.split(), values, strict=True))


def _ordered(one: Placed) -> dict[str, Any]:
    parts = [field for con, ratio, action in one.spec.legs for field in (con, ratio, action, "SMART", 0, 0, "", -1)]
    params = [field for pair in one.params.items() for field in pair]
    return {
        **contract(one.spec),
        "action": one.action,
        "totalQuantity": one.quantity,
        "orderType": one.kind,
        "lmtPrice": one.limit if one.limit is not None else 0.0,
        "auxPrice": one.trigger if one.trigger is not None else 0.0,
        "tif": one.tif,
        "ocaGroup": one.group,
        "account": ACCOUNT,
        "orderRef": one.ref,
        "permId": one.perm_id,
        "LEGS": [len(one.spec.legs), *parts, 0, len(one.params), *params],
        "deltaNeutralContract": 0,
        "conditions": 0,
    }


def _message(number: int, names: list[str], values: dict[str, Any]) -> bytes:
    fields: list[Any] = [number]
    for name in names:
        value = values.get(name, "")
        fields += value if isinstance(value, list) else [value]
    return frame(*fields)


def open_order(one: Placed, said: str | None = None, *, margin: str | None = None) -> bytes:
    """Message 5. margin : what a what-if says; None: it is none."""
    told = {"orderId": one.order_id, "clientId": one.client_id, "parentId": one.parent_id, "status": said or one.status}
    if margin is not None:
        told |= {"whatIf": 1, "initMarginChange": margin, "commission": UNSET}
    return _message(5, OPEN_ORDER, {**_ordered(one), **told})


def completed_order(one: Placed) -> bytes:
    """Message 101. It tells no order id, and fills of which it knows nothing."""
    ended = {"status": one.status, "filledQuantity": 0.0, "completedStatus": one.status}
    return _message(101, COMPLETED_ORDER, {**_ordered(one), **ended})


def status(one: Placed, said: str | None = None) -> bytes:
    """Message 3."""
    left = one.quantity - one.filled
    return frame(
        *(3, one.order_id, said or one.status, one.filled, left, 0.0, one.perm_id, one.parent_id),
        *(0.0, one.client_id, "", 0.0),
    )


def execution(one: Exec, request: int, *, nameless: bool = False) -> bytes:
    """Message 11. nameless : without its orderRef."""
    side = "BOT" if one.quantity > 0 else "SLD"
    at = one.at.astimezone(dt.UTC)
    return frame(
        *(
            11,
            request,
            one.order.order_id,
            *contract(one.spec).values(),
            one.exec_id,
            f"{at:%Y%m%d %H:%M:%S} UTC",
            ACCOUNT,
        ),
        *("SMART", side, abs(one.quantity), one.price / PARTS, one.perm_id, one.order.client_id, 0),
        *(one.order.filled, one.price / PARTS, "" if nameless else one.ref, "", "", "", 2),
    )


def commission(one: Exec) -> bytes:
    """Message 59."""
    return frame(59, 1, one.exec_id, (one.commission or 0) / PARTS, "USD", UNSET, UNSET, "")


def details(spec: Spec, request: int, *, tick: float = 0.01) -> bytes:
    """Message 10."""
    return frame(
        *(10, request, spec.symbol, spec.sec_type, spec.expiry, spec.strike, spec.right, spec.exchange, "USD"),
        *(spec.symbol, spec.trading_class, spec.trading_class, spec.con_id, tick, spec.multiplier),
        *("", "SMART", 1, 0, spec.symbol, "", "", "", "", "", "US/Eastern", "", "", "", 0, 0),
        *("", "", "", "", "", "COMMON", 1, 1, 1),
    )


def error(number: int, code: int, text: str) -> bytes:
    """Message 4."""
    return frame(4, 2, number, code, text, "")
