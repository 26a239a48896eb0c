"""The paper account as a broker: every look asks for all of it anew, and nothing is kept between two of them."""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from bq.market import calendars
from bq.strategies.desk import Desk, Kind, Leg
from bq.trading import ledger
from bq.trading.broker import Look, Moment, NoAnswer, Seen, Status, Ticket
from bq.trading.ibkr import orders, reading
from bq.trading.ibkr.catalogue import Catalogue
from bq.trading.ibkr.library import ib
from bq.trading.ibkr.listing import snapped
from bq.trading.ibkr.wire import Wire
from bq.trading.money import PARTS

log = logging.getLogger(__name__)

SETTLED_LOOKS = 3  # tries to see executions and positions of one moment
FUNDS, CASH = "AvailableFunds", "TotalCashValue"


class IBKR:
    """One paper account. wire : its connection, which may be lost and made anew at any call."""

    real = True

    def __init__(
        self,
        wire: Wire,
        desk: Desk,
        *,
        calendar: str,
        steps: int,
        now: Callable[[], dt.datetime],
        account: str | None = None,
    ) -> None:
        """steps : of a limit, from the mid to the collar. now : the time. account : None: the one that is found."""
        self.wire, self._desk, self._calendar, self._steps, self._now = wire, desk, calendar, steps, now
        self._catalogue = Catalogue(wire)
        self._limits: set[str] = set()  # orders with a limit that worked at the last look
        self._looked: dt.datetime | None = None
        self.account = account or wire.account  # the latter connects
        wire.stay_with(self.account)

    @property
    def paper(self) -> bool | None:
        """Whether it is of paper money: the guard lets no other one pass, at every connection."""
        try:
            return self.wire.account == self.account or None
        except NoAnswer:
            return None

    def look(self) -> Look:
        """All of the account. Executions are asked for before and after positions: both are of one moment."""
        self._wait_between_looks()
        opened = self._opened()
        completed = self.wire.ask("completed orders", lambda client: client.reqCompletedOrdersAsync(False))
        fills, held = self._settled()
        values = self._values()
        shown = reading.seen(opened, completed)
        self._limits = {one.order.orderRef for one in opened if one.order.orderType == "LMT"}
        refs = {one.perm_id: one.order_ref for one in shown} | ledger.numbered_orders(self.account)
        told = self.wire.client().fills()
        return Look(
            orders=(*shown, *self._refused(shown)),
            executions=reading.executed(fills, self.account, refs, self._session),
            commissions=reading.charged(one for one in told if one.execution.acctNumber == self.account),
            positions=reading.positions(held, self.account),
            available=reading.value_of(values, self.account, FUNDS),
            cash=reading.value_of(values, self.account, CASH),
        )

    def place(self, ticket: Ticket) -> None:
        """Send an order; one that another follows, such as a protective stop, works once that one is there."""
        contract, tick = self._catalogue.contract(ticket.legs)
        order = orders.order_of(ticket, tick=tick, trigger=self._trigger(ticket), parent_id=self._parent(ticket))
        self.wire.send(ticket.order.order_ref, contract, order, wait=not ticket.followed)

    def amend(self, order_ref: str, price: int | None, quantity: int | None = None) -> None:
        """Move the limit of an order, or the trigger of a stop, and change of how many units it is."""
        opened = self._opened()
        for trade in self._working(order_ref, opened):
            tick = self._catalogue.tick_of(trade.contract)
            if orders.amended(trade.order, price, quantity, tick=tick):
                if trade.order.parentId not in {one.order.orderId for one in opened}:
                    trade.order.parentId = 0  # a change that names a parent which is gone is refused (135)
                self.wire.send(order_ref, trade.contract, trade.order, wait=True)

    def cancel(self, order_ref: str) -> None:
        """Ask for its cancellation."""
        for trade in self._working(order_ref, self._opened()):
            self.wire.cancel(trade.order.orderId)

    def margin(self, ticket: Ticket) -> int:
        """What a what-if says: the order is not placed."""
        contract, tick = self._catalogue.contract(ticket.legs)
        order = orders.order_of(ticket, tick=tick, trigger=self._trigger(ticket))
        order.account = self.account
        return reading.margin(self.wire.ask("a what-if", lambda client: client.whatIfOrderAsync(contract, order)))

    def listed(self, legs: tuple[Leg, ...]) -> tuple[Leg, ...] | None:
        """The legs on listed strikes and expiry, of the same shape; shares as they are. Raises NoAnswer."""
        if legs[0].strike is None:
            return legs
        return snapped(legs, self._catalogue.chains(legs[0].symbol))

    def moments(self, *, until: dt.date) -> Iterator[Moment]:
        """While the session after `until` is open: the steps of limits that work, a wait between two of them."""
        opens, session, closes = self._following(until)
        for step in range(self._steps + 2):
            now = self._now()
            if not opens <= now < closes or (step and not self._limits):
                return
            yield Moment(session, step, step > self._steps, now)
            if step <= self._steps and self._limits:
                self.wire.sleep(self.wire.timing.step)

    def pause(self) -> None:
        """Some seconds."""
        self.wire.sleep(self.wire.timing.looks)

    # ---- small parts

    def _wait_between_looks(self) -> None:
        """An order that is missing in two looks in a row is taken for absent: they are some seconds apart."""
        if self._looked is not None:
            gone = (self._now() - self._looked).total_seconds()
            if gone < self.wire.timing.looks:
                self.wire.sleep(self.wire.timing.looks - max(gone, 0.0))
        self._looked = self._now()

    def _settled(self) -> tuple[list[Any], list[Any]]:
        fills = self._fills()
        for _ in range(SETTLED_LOOKS):
            held = self.wire.ask("positions", lambda client: client.reqPositionsAsync())
            again = self._fills()
            if {one.execution.execId for one in again} == {one.execution.execId for one in fills}:
                return again, held
            fills = again
        raise NoAnswer("IBKR: executions do not stop coming")

    def _fills(self) -> list[Any]:
        return list(self.wire.ask("executions", lambda client: client.reqExecutionsAsync()))

    def _values(self) -> list[Any]:
        """Values of the account, asked for and not subscribed to."""
        number = self.wire.client().client.getReqId()

        def request(client: Any) -> Any:
            future = client.wrapper.startReq(number)
            client.client.reqAccountUpdatesMulti(number, self.account, "", False)
            return future

        self.wire.ask("account values", request)
        client = self.wire.client()
        client.client.cancelAccountUpdatesMulti(number)
        return list(client.accountValues(self.account))

    def _refused(self, shown: tuple[Seen, ...]) -> list[Seen]:
        """Orders of this process that were refused for good, which no list of orders shows."""
        listed = {one.order_ref for one in shown}
        return [Seen(ref, 0, Status.REJECTED, None) for ref in sorted(self.wire.rejected - listed)]

    def _opened(self) -> list[Any]:
        return list(self.wire.ask("open orders", lambda client: client.reqAllOpenOrdersAsync()))

    def _working(self, order_ref: str, opened: list[Any]) -> list[Any]:
        """Open orders of that name that this client may change. Raises NoAnswer where there is none."""
        found = self._mine(order_ref, opened)
        if not found:
            raise NoAnswer(f"IBKR: {order_ref} is no open order of this client")
        return found

    def _mine(self, order_ref: str, opened: list[Any]) -> list[Any]:
        found = {one.order.orderId: one for one in opened if one.order.orderRef == order_ref}
        return [one for one in found.values() if one.order.orderId > 0 and one.order.clientId == self.wire.client_id]

    def _parent(self, ticket: Ticket) -> int:
        """The number of the order that this one protects; 0 where there is none, or where it is filled already.

        Raises NoAnswer where it is neither working nor filled: alone, what is to protect would open a position.
        """
        parent = ticket.order.parent
        if parent is None:
            return 0
        working = self._mine(parent, self._opened())
        if working:
            return int(working[0].order.orderId)
        if any(one.execution.orderRef == parent for one in self._fills()) or ledger.is_filled(parent):
            return 0
        raise NoAnswer(f"{ticket.order.order_ref} was not sent: {parent}, which it protects, is not there")

    def _trigger(self, ticket: Ticket) -> float | None:
        """Of a protective stop: where it is known, else below the price of the decision (`bq.trading.protection`)."""
        if ticket.order.kind != Kind.STOP or ticket.order.stop_distance is None:
            return None
        if ticket.order.limit_price is not None:
            return ticket.order.limit_price / PARTS
        quote = self._desk.quote(ticket.event, ticket.event["session"])
        return None if quote is None else quote.mid - ticket.order.stop_distance / PARTS

    def _following(self, until: dt.date) -> tuple[dt.datetime, dt.date, dt.datetime]:
        """When the session after one opens, its date, and when it closes."""
        known = calendars.sessions(self._calendar).filter(pl.col("session") > until)
        window = calendars.window(self._calendar, until)
        session, closes = known.row(0)
        return window.until_utc if window else closes, session, closes

    def _session(self, at: dt.datetime) -> dt.date:
        """The session of a time: its day at the exchange, or the session before where that is none."""
        day = at.astimezone(ZoneInfo(calendars.time_zone(self._calendar))).date()
        known = calendars.sessions(self._calendar)["session"]
        place = known.search_sorted(day, side="right")
        return known[place - 1]


def version_of(broker: Any) -> str:
    """What a connection speaks, for people."""
    library = f"{ib.__name__} {ib.__version__}"
    return f"server version {broker.wire.version} by {library}"
