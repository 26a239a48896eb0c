"""What a broker is to the rest: it is looked at, and given orders. The dry-run broker and a real one are the same here.

Every call may end in `NoAnswer`, which says nothing about whether it acted.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from bq.core.errors import BQError
from bq.strategies.desk import Event, Leg
from bq.trading.intents import Order


class NoAnswer(BQError):
    """The broker did not answer in time; what was asked for may have happened or not."""


class Status(StrEnum):
    """Of an order, as the broker says it."""

    WORKING = "working"
    FILLED = "filled"  # which no one believes before the executions are there
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Seen(NamedTuple):
    """An order as the broker has it. limit_price : of a stop its trigger. quantity : units in all, negative to sell;
    None where it is not told, as of orders that ended.
    """

    order_ref: str
    perm_id: int
    status: Status
    limit_price: int | None
    quantity: int | None = None


class Executed(NamedTuple):
    """A fill. whole : of a combination as one, beside one for each leg; it counts units, the legs count money."""

    exec_id: str
    order_ref: str
    perm_id: int
    whole: bool
    contract: str
    quantity: int
    price: int
    multiplier: int
    session: dt.date
    at_utc: dt.datetime


class Charged(NamedTuple):
    """The commission of a fill."""

    exec_id: str
    amount: int


class Look(NamedTuple):
    """All that a broker knows of an account now: open orders and those of the day, executions, positions, cash."""

    orders: tuple[Seen, ...]
    executions: tuple[Executed, ...]
    commissions: tuple[Charged, ...]
    positions: Mapping[str, int]  # by contract
    available: int  # funds for new positions
    cash: int | None = None  # of the account, in parts; None: not told


class Ticket(NamedTuple):
    """An order with what it is of."""

    order: Order
    legs: tuple[Leg, ...]
    opening: bool
    event: Event
    beside: str | None = None  # the order that is cancelled where this one is filled, and the other way round
    followed: bool = False  # whether an order that protects it is sent next: the two work together or not at all


class Moment(NamedTuple):
    """A point of a session at which orders are looked after. step : from 0; last : limits have had their time."""

    session: dt.date
    step: int
    last: bool
    at_utc: dt.datetime


class Broker(Protocol):
    """An account at a broker."""

    @property
    def account(self) -> str:
        """Its name."""
        ...

    @property
    def real(self) -> bool:
        """Whether it is outside of this program."""
        ...

    @property
    def paper(self) -> bool | None:
        """Whether it is of paper money; None: not known."""
        ...

    def look(self) -> Look:
        """What is known of the account. Raises NoAnswer."""
        ...

    def place(self, ticket: Ticket) -> None:
        """Send an order. Raises NoAnswer."""
        ...

    def amend(self, order_ref: str, price: int | None, quantity: int | None = None) -> None:
        """Move the limit of an order or the trigger of a stop, and how many units it is of in all; None: as it is.

        Raises NoAnswer.
        """
        ...

    def cancel(self, order_ref: str) -> None:
        """Cancel an order. Raises NoAnswer."""
        ...

    def margin(self, ticket: Ticket) -> int:
        """The funds that an order would bind, in parts. Raises NoAnswer."""
        ...

    def listed(self, legs: tuple[Leg, ...]) -> tuple[Leg, ...] | None:
        """The legs as there are contracts of them; None where nothing like them is listed. Raises NoAnswer."""
        ...

    def moments(self, *, until: dt.date) -> Iterator[Moment]:
        """The points at which orders are looked after, through the session `until`; waits where there is to wait."""
        ...

    def pause(self) -> None:
        """Some seconds between two looks."""
        ...
