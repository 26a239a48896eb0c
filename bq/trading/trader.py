"""Who trades: a strategy's desk at a broker, at a time. And the calls that change something, each noted before it."""

import datetime as dt
from typing import Any, NamedTuple

from bq.core.settings import Settings
from bq.market.announced import NOTHING, Announced
from bq.strategies.contract import Strategy
from bq.strategies.desk import Desk
from bq.trading import gates
from bq.trading.broker import Broker, Look, NoAnswer, Ticket
from bq.trading.clock import Clock
from bq.trading.ledger import Stamp
from bq.trading.open_order import Open
from bq.trading.orders import Orders
from bq.trading.states import Said


class Trader(NamedTuple):
    """All that a day of trading needs. strategy, settings, desk : of one namespace."""

    strategy: Strategy[Any]
    settings: Settings
    desk: Desk
    broker: Broker
    clock: Clock
    orders: Orders
    dates: Announced = NOTHING  # days that companies announced, as far as they are known

    @property
    def namespace(self) -> str:
        """Whose orders these are."""
        return str(self.settings.namespace)

    @property
    def stamp(self) -> Stamp:
        """When what is written now is written."""
        return Stamp(self.clock.session, self.clock.now)

    @property
    def until(self) -> dt.datetime | None:
        """The latest time at which an order of this session may be sent; None: no session follows."""
        window = dt.timedelta(minutes=self.settings.trading.entry_window_minutes)
        return self.clock.next_open and self.clock.next_open + window

    def mine(self) -> list[Open]:
        """The orders of the namespace whose day is not over."""
        return self.orders.mine()


def send(trader: Trader, ticket: Ticket, stamp: Stamp) -> bool:
    """Send an order that stands in the ledger; whether it was tried. The kill switch is asked at the last moment."""
    if gates.stopped():
        return False
    ref = ticket.order.order_ref
    trader.orders.note(ref, Said.SENDING, stamp)
    try:
        trader.broker.place(ticket)
    except NoAnswer:
        trader.orders.note(ref, Said.NO_ANSWER, stamp)
    else:
        trader.orders.note(ref, Said.ACCEPTED, stamp)
    return True


def amend(trader: Trader, one: Open, stamp: Stamp, *, price: int | None = None, quantity: int | None = None) -> bool:
    """Change the price of a working order, or of how many units it is in all (None: as it is); whether it was tried."""
    if gates.stopped():
        return False
    ref = one.order.order_ref
    trader.orders.note(ref, Said.REPRICED, stamp, limit_price=price, quantity=quantity)
    try:
        trader.broker.amend(ref, price, quantity)
    except NoAnswer:
        trader.orders.note(ref, Said.NO_ANSWER, stamp)
    return True


def cancel(trader: Trader, one: Open, stamp: Stamp) -> None:
    """Cancel an order; whether it is, the next look shows."""
    trader.orders.note(one.order.order_ref, Said.CANCELLING, stamp)
    try:
        trader.broker.cancel(one.order.order_ref)
    except NoAnswer:
        trader.orders.note(one.order.order_ref, Said.NO_ANSWER, stamp)


def look(trader: Trader, stamp: Stamp, *, tries: int) -> Look | None:
    """Look at the account and write down what is new; None where no try was answered."""
    for attempt in range(tries):
        try:
            seen = trader.broker.look()
        except NoAnswer:
            if attempt + 1 < tries:
                trader.broker.pause()
            continue
        trader.orders.adopt(seen, stamp)
        return seen
    return None
