"""What a broker keeps: contracts, orders, executions, positions, cash. It outlives every connection."""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

PARTS = 10_000
ACCOUNT = "DU1234567"
WORKING = ("PreSubmitted", "Submitted", "Inactive")


class Spec(NamedTuple):
    """A contract. legs : of a combination, (contract id, ratio, action)."""

    con_id: int
    symbol: str
    sec_type: str
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = "SMART"
    trading_class: str = ""
    legs: tuple[tuple[int, int, str], ...] = ()

    @property
    def name(self) -> str:
        """As in a ledger."""
        if self.sec_type == "BAG":
            return "BAG"
        return f"{self.trading_class} {self.expiry} {self.right} {self.strike:.10g}" if self.strike else self.symbol


@dataclass
class Placed:
    """An order as the broker has it. perm_id : the newest; old : those before a modification."""

    order_id: int
    client_id: int
    perm_id: int
    ref: str
    spec: Spec
    action: str
    quantity: int
    kind: str
    limit: float | None
    trigger: float | None
    tif: str
    group: str
    parent_id: int
    transmit: bool
    params: dict
    session: dt.date
    status: str = "PreSubmitted"
    filled: int = 0
    fills: int = 0
    old: list = field(default_factory=list)
    stuck: bool = False  # filled in part, and no more on this day

    @property
    def side(self) -> int:
        """1 to buy."""
        return 1 if self.action == "BUY" else -1

    @property
    def works(self) -> bool:
        """Whether it may be filled: transmitted, and not over."""
        return self.transmit and self.status in WORKING


class Exec(NamedTuple):
    """A fill. quantity : signed; price in parts."""

    exec_id: str
    order: Placed
    spec: Spec
    quantity: int
    price: int
    commission: int | None
    session: dt.date
    at: dt.datetime
    perm_id: int
    ref: str


class Listing(NamedTuple):
    """What is listed of a symbol."""

    expiries: tuple[str, ...] = ()
    strikes: tuple[float, ...] = ()
    trading_class: str = ""


class Book:
    """One account. price : of a contract in a session, in currency per share; None where there is none."""

    def __init__(
        self,
        price: Callable[[Spec, dt.date], float | None],
        listings: dict[str, Listing],
        *,
        now: dt.datetime,
        session: dt.date,
        cash: float = 1_000_000.0,
        keeps_days: int = 7,
    ) -> None:
        self.price, self.listings, self.now, self.session, self.keeps_days = price, listings, now, session, keeps_days
        self.lock = threading.RLock()
        self.orders: list[Placed] = []  # those of which a request still hears
        self.accepted: Counter[str] = Counter()
        self.executions: list[Exec] = []  # all of them
        self.told_executions: list[Exec] = []  # those of which a request still hears
        self.held: dict[str, int] = {}
        self.cash, self.opened_with = round(cash * PARTS), round(cash * PARTS)
        self.open = False  # whether the market is
        self.partial: Callable[[Placed], bool] = lambda order: False
        self.with_its_rest: Callable[[Placed], bool] = lambda order: (
            False
        )  # a stop goes with what its parent did not fill
        self.short: list[str] = []  # orders that sold shares which were not held
        self.corrected: Callable[[Exec], bool] = lambda one: False
        self.told: Callable[[str, object], None] = lambda what, one: None  # news for who is connected
        self._specs: dict[tuple, Spec] = {}
        self._by_id: dict[int, Spec] = {}
        self._number = 1000

    # ---- contracts

    def spec(self, symbol: str, sec_type: str, expiry: str = "", strike: float = 0.0, right: str = "") -> Spec | None:
        """The contract that is listed under this; None where there is none."""
        listing = self.listings.get(symbol)
        if listing is None:
            return None
        if sec_type == "OPT" and (expiry not in listing.expiries or strike not in listing.strikes):
            return None
        key = (symbol, sec_type, expiry, strike, right)
        if key not in self._specs:
            option = sec_type == "OPT"
            named = (listing.trading_class or symbol) if option else symbol
            made = Spec(self.number(), *key[:2], expiry, strike, right, "100" if option else "", "SMART", named)
            self._specs[key] = self._by_id[made.con_id] = made
        return self._specs[key]

    def by_id(self, con_id: int) -> Spec | None:
        """A contract by its number."""
        return self._by_id.get(con_id)

    def number(self) -> int:
        """A number that nothing else has."""
        self._number += 1
        return self._number

    # ---- orders

    def working(self) -> list[Placed]:
        """Orders that are not over."""
        return [one for one in self.orders if one.status in WORKING]

    def accept(self, order: Placed) -> None:
        """Take an order; one that comes twice is two. A child that is transmitted takes its parent along."""
        with self.lock:
            order.session = self.session
            order.status = "PreSubmitted" if order.transmit else "Inactive"
            self.orders.append(order)
            self.accepted[order.ref] += 1
            if order.transmit:
                for one in self.working():
                    if one.order_id == order.parent_id and not one.transmit:
                        one.transmit, one.status = True, "PreSubmitted"
            self.match()

    def modify(
        self, order_id: int, limit: float | None, trigger: float | None, quantity: int, *, renumbered: bool
    ) -> Placed | None:
        """Change the price or the quantity of a working order; none to fewer than it has filled."""
        with self.lock:
            for one in self.working():
                if one.order_id == order_id and quantity > one.filled:
                    one.limit, one.trigger, one.quantity = limit, trigger, quantity
                    if renumbered:
                        one.old.append(one.perm_id)
                        one.perm_id = self.number()
                    self.match()
                    return one
        return None

    def cancel(self, order_id: int) -> Placed | None:
        """Cancel what works, and what was to protect it."""
        with self.lock:
            found = next((one for one in self.working() if one.order_id == order_id), None)
            if found is not None:
                found.status = "Cancelled"
                self.told("status", found)
            return found

    # ---- a day

    def open_session(self, session: dt.date, at: dt.datetime) -> None:
        """The market opens: what waits for it is filled."""
        with self.lock:
            self.session, self.now, self.open = session, at, True
            self.match()

    def close_session(self, at: dt.datetime) -> None:
        """The market closes: orders for the close are filled, those of the day end."""
        with self.lock:
            self.match(closing=True)
            self.now, self.open = at, False
            for one in self.working():
                if one.tif == "DAY" and one.session <= self.session:
                    self._end(one)
                    for other in self.working():
                        if one.stuck and other.parent_id == one.order_id and self.with_its_rest(other):
                            self._end(other)
            first = self.session - dt.timedelta(days=self.keeps_days - 1)
            self.told_executions = [one for one in self.executions if one.session >= first]
            self.orders = [one for one in self.orders if one.status in WORKING or one.session >= self.session]

    def _end(self, one: Placed) -> None:
        one.status = "Cancelled"
        self.told("status", one)

    def match(self, *, closing: bool = False) -> None:
        """Fill what the prices of the session reach. Orders that were sent after the close wait for the next one."""
        if not self.open:
            return
        for one in [*self.working()]:
            parent = next((other for other in self.orders if other.order_id == one.parent_id and one.parent_id), None)
            waits = parent is not None and not parent.filled
            left = one.quantity - one.filled
            if parent is not None and parent.status in WORKING:  # it protects what that one has filled
                left = min(left, parent.filled - one.filled)
            if one.works and not waits and not one.stuck and left > 0 and self._reached(one, closing=closing):
                if one.kind == "LMT" and self.partial(one):
                    left = max(left // 2, 1)
                elif any(other.parent_id == one.order_id for other in self.working()) and self.partial(one):
                    left, one.stuck = max(left // 2, 1), True
                self.fill(one, left)

    def _reached(self, one: Placed, *, closing: bool) -> bool:
        net = self.net(one.spec)
        if net is None:
            return False
        if one.kind == "LMT":
            return one.limit is not None and (net - one.limit) * one.side <= 1e-9
        if one.kind == "STP":
            return one.trigger is not None and net <= one.trigger
        return one.kind == "MKT" or closing

    def parts_of(self, spec: Spec) -> list[tuple[Spec, int]]:
        """The legs of a combination with their ratios, or the contract itself."""
        if spec.sec_type != "BAG":
            return [(spec, 1)]
        return [(self._by_id[con], ratio * (1 if action == "BUY" else -1)) for con, ratio, action in spec.legs]

    def net(self, spec: Spec) -> float | None:
        """What a unit costs now."""
        prices = [(self.price(leg, self.session), ratio) for leg, ratio in self.parts_of(spec)]
        return None if any(price is None for price, _ in prices) else sum(price * ratio for price, ratio in prices)

    def fill(self, one: Placed, quantity: int) -> None:
        """Fill so many units at the prices of the session."""
        one.filled += quantity
        one.fills += 1
        one.status = "Filled" if one.filled == one.quantity else "Submitted"
        net, combined = self.net(one.spec), one.spec.sec_type == "BAG"
        assert net is not None
        rows = [(leg, ratio, self.price(leg, self.session)) for leg, ratio in self.parts_of(one.spec)]
        if combined:
            self._book(one, one.spec, quantity * one.side, net, None)
        for leg, ratio, price in rows:
            contracts = quantity * one.side * ratio
            fee = 6_500 * abs(contracts) if leg.sec_type == "OPT" else 10_000
            self._book(one, leg, contracts, price, fee)
        self.told("status", one)
        if one.group:
            for other in self.working():
                if other is not one and other.group == one.group:
                    other.status = "Cancelled"
                    self.told("status", other)

    def _book(self, one: Placed, spec: Spec, quantity: int, price: float, fee: int | None) -> None:
        name, paid = f"{self.number():08x}.{one.perm_id:08x}.{one.fills:02d}", round(price * PARTS)
        made = Exec(f"{name}.01", one, spec, quantity, paid, fee, self.session, self.now, one.perm_id, one.ref)
        self._keep(made)
        if spec.sec_type != "BAG" and self.corrected(made):
            better = made._replace(exec_id=f"{name}.02", price=paid + 100)
            self._keep(better)
            paid = better.price
        if spec.sec_type != "BAG":
            self._move(spec, quantity, paid, fee or 0)
            if spec.sec_type == "STK" and quantity < 0 and self.held.get(spec.name, 0) < 0:
                self.short.append(one.ref)
        self.told("fill", made)

    def _keep(self, one: Exec) -> None:
        self.executions.append(one)
        self.told_executions.append(one)

    def _move(self, spec: Spec, quantity: int, price: int, fee: int) -> None:
        self.cash -= quantity * price * int(spec.multiplier or 1) + fee
        self.held[spec.name] = self.held.get(spec.name, 0) + quantity
        if not self.held[spec.name]:
            del self.held[spec.name]

    # ---- what happens overnight

    def deliver(self, name: str, contracts: int, shares: int, strike: float) -> None:
        """Contracts of an option go, shares come for the strike: an assignment, or an exercise."""
        with self.lock:
            symbol = name.split()[0]
            self.held[name] = self.held.get(name, 0) - contracts
            self.held[symbol] = self.held.get(symbol, 0) + shares
            self.held = {key: n for key, n in self.held.items() if n}
            self.cash -= round(shares * strike * PARTS)

    def split(self, symbol: str, factor: float) -> None:
        """Overnight there are so many new shares for an old one; orders that are good till cancelled end.

        IBKR, on time in force: GTC orders are cancelled at any corporate action on a security.
        """
        with self.lock:
            self.held[symbol] = round(self.held[symbol] * factor)
            for one in self.working():
                if one.spec.name == symbol and one.tif == "GTC":
                    self._end(one)

    def settle(self, name: str, price: float) -> None:
        """All contracts of an option go for cash."""
        with self.lock:
            self.cash += self.held.pop(name) * 100 * round(price * PARTS)
