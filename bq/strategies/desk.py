"""What a strategy adds so that its decisions can be traded: a desk. Generic trading code knows no strategy.

A desk is bound to a market and to settings. It looks at no bar after the session that it is asked about, so that a
replay that holds the whole market gets the answers of the day.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import polars as pl

from bq.core.errors import BadParameters

Event = Mapping[str, Any]  # a row of the events table, of the columns `Desk.keeps` at least


def unweighted() -> BadParameters:
    """What a desk raises whose rule score is kept with its events as a whole."""
    return BadParameters(
        "`weights` of a track must be of a strategy that keeps the components of its rule score with each event, but "
        "this one does not. Take them out of trading.tracks."
    )


class Right(StrEnum):
    """Of an option."""

    CALL = "C"
    PUT = "P"


class Kind(StrEnum):
    """How an order asks to be filled."""

    LIMIT = "limit"
    OPEN = "open"  # at the next open
    CLOSE = "close"  # at the next close
    STOP = "stop"


class Leg(NamedTuple):
    """One contract of a unit. ratio : how many a unit buys; negative: sells."""

    symbol: str
    ratio: int = 1
    root: str | None = None
    expiry: dt.date | None = None
    strike: float | None = None
    right: Right | None = None
    multiplier: int = 1
    exchange: str = "SMART"
    currency: str = "USD"

    @property
    def contract(self) -> str:
        """The name of the contract, the same for the same contract of every order.

        >>> Leg("SPX", -2, "SPXW", dt.date(2019, 6, 21), 2900.0, Right.CALL, 100).contract
        'SPXW 20190621 C 2900'
        """
        if self.expiry is None or self.strike is None:
            return self.symbol
        return f"{self.root or self.symbol} {self.expiry:%Y%m%d} {self.right} {self.strike:.10g}"


class Part(NamedTuple):
    """What a track trades with: its share of the account, and its equity in currency."""

    share: float
    equity: float


class Size(NamedTuple):
    """How many units are opened. risk : of one unit, in currency."""

    quantity: int
    risk: float


class Entry(NamedTuple):
    """How a position is opened. stop_distance : of the protective stop below the price of entry; None: no stop."""

    kind: Kind
    stop_distance: float | None = None


class Quote(NamedTuple):
    """Prices of one unit at a session's close. legs : mid of each. quoted : by listed quotes or bars, not a model."""

    mid: float
    half_spread: float
    legs: tuple[float, ...]
    quoted: bool


class Limits(NamedTuple):
    """Net prices of a unit between which an order is worked: from the mid to the collar."""

    first: float
    last: float


class Greeks(NamedTuple):
    """Of one unit, times its multiplier: per unit of the price, per volatility point, per calendar day."""

    delta: float
    gamma: float
    vega: float
    theta: float


class Mark(NamedTuple):
    """What a unit is worth, per share. quoted : as of `Quote`."""

    value: float
    quoted: bool
    greeks: Greeks | None = None


class Levels(NamedTuple):
    """Where a position is closed: at a value of a unit at or above, at or below, or in a session; None: never."""

    above: float | None = None
    below: float | None = None
    until: dt.date | None = None


class Exit(NamedTuple):
    """Why a position is closed, and how that is asked for."""

    reason: str
    kind: Kind


class Fill(NamedTuple):
    """What the strategy's own pricing fills an order at. fee : in currency, of the whole order. reference : the price
    of a unit before what trading costs, from which a protective stop is measured.
    """

    legs: tuple[float, ...]
    fee: float
    reference: float


class Position(NamedTuple):
    """What is held of an event. price : paid for a unit, per share; negative: received. stop : if protected."""

    event: Event
    quantity: int
    price: float
    entered: dt.date
    stop: float | None = None


class Asked(NamedTuple):
    """An order as a simulated market sees it. quantity : units, negative: sold. opening : whether it opens one."""

    kind: Kind
    quantity: int
    opening: bool
    stop: float | None = None


class Desk(Protocol):
    """How decisions of a strategy are traded."""

    @property
    def keeps(self) -> tuple[str, ...]:
        """Columns of an event that it needs again while a position is held."""
        ...

    @property
    def whole_book(self) -> bool:
        """Whether decisions are targets of one book of all names, see `targets`; else each is a position of its own."""
        ...

    def legs(self, event: Event) -> tuple[Leg, ...]:
        """The contracts of one unit."""
        ...

    def size(self, event: Event, equity: float, risk_share: float, session: dt.date) -> Size:
        """Units to open with an equity, decided at the close of a session; 0: too dear."""
        ...

    def relisted(self, event: Event, legs: tuple[Leg, ...]) -> Event:
        """The event on other contracts of the same shape: those that are listed."""
        ...

    def entry(self, event: Event) -> Entry:
        """How it is opened."""
        ...

    def crowded(self, event: Event, size: Size, held: Sequence[Position], part: Part, session: dt.date) -> str:
        """Which of the strategy's own limits keeps it from being opened beside what is held; empty: none."""
        ...

    def quote(self, event: Event, session: dt.date) -> Quote | None:
        """Prices at the close of a session; None where there are none."""
        ...

    def spot(self, event: Event, session: dt.date, *, at_open: bool = False) -> float | None:
        """Price of the underlying at the close of a session, or its open, in units of the strikes; None: no bar."""
        ...

    def limits(self, event: Event, quote: Quote, *, buy: bool) -> Limits | None:
        """Between which prices an order is worked; None where nobody should trade there."""
        ...

    def split(self, symbol: str, session: dt.date) -> float:
        """New shares for an old one that is held overnight into a session, in units of the desk's prices; mostly 1."""
        ...

    def mark(self, position: Position, session: dt.date) -> Mark | None:
        """What a unit is worth at the close of a session; None where no price is known."""
        ...

    def greeks(self, event: Event, leg: Leg, session: dt.date) -> Greeks | None:
        """Of one contract of an option leg alone, times its multiplier; None where there is no price."""
        ...

    def exit(self, position: Position, mark: Mark | None, session: dt.date) -> Exit | None:
        """Whether it is closed, as known at the close of a session: the rule of label and replay."""
        ...

    def levels(self, position: Position, session: dt.date) -> Levels:
        """Where it is closed, for people."""
        ...

    def fill(self, event: Event, asked: Asked, session: dt.date) -> Fill | None:
        """What a simulated market fills an order at in a session; None where it does not."""
        ...

    def scored(self, events: pl.DataFrame, weights: Mapping[str, float]) -> pl.Series:
        """The rule score of events by other weights of its components. Raises BadParameters where it has none."""
        ...

    def due(self, last: dt.datetime | None, session: dt.date) -> bool:
        """Whether a whole book is rebalanced at the close of a session. last : end of the period that runs."""
        ...

    def targets(
        self, decisions: pl.DataFrame, by: str, held: Mapping[str, int], equity: float, session: dt.date
    ) -> Mapping[str, int]:
        """Shares of each name that a whole book is to hold, from what it holds. by : the column decided by."""
        ...


class PositionByPosition:
    """The part of a desk whose decisions are positions of their own, with no limit beside the common ones."""

    whole_book = False

    def relisted(self, event: Event, legs: tuple[Leg, ...]) -> Event:
        """As it is: shares are always listed."""
        return event

    def crowded(self, event: Event, size: Size, held: Sequence[Position], part: Part, session: dt.date) -> str:
        """Nothing."""
        return ""

    def greeks(self, event: Event, leg: Leg, session: dt.date) -> Greeks | None:
        """There is no option."""
        return None

    def split(self, symbol: str, session: dt.date) -> float:
        """None: prices stay those of the shares that were bought."""
        return 1.0

    def scored(self, events: pl.DataFrame, weights: Mapping[str, float]) -> pl.Series:
        """No other weights."""
        raise unweighted()

    def due(self, last: dt.datetime | None, session: dt.date) -> bool:
        """Never: there is no book."""
        return False

    def targets(
        self, decisions: pl.DataFrame, by: str, held: Mapping[str, int], equity: float, session: dt.date
    ) -> Mapping[str, int]:
        """No book."""
        return {}
