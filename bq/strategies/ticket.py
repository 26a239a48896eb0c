"""What somebody who trades a decision by hand has to know, as facts; words are made where it is shown."""

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Right(StrEnum):
    """What an option gives its holder."""

    CALL = "call"
    PUT = "put"


class Leg(NamedTuple):
    """One line of an option order."""

    quantity: int  # of the structure; below 0: sold
    right: Right
    strike: float


class Options(NamedTuple):
    """An option structure at t0. Prices are per share, after half of the spread; a structure of one unit each.

    breakevens : prices of the underlying at expiry between which it earns; none where it cannot earn.
    """

    legs: Sequence[Leg]
    expiry: dt.date
    days: int  # calendar days from t0 to the expiry
    price: float  # paid; below 0: received
    most_made: float
    most_lost: float
    breakevens: tuple[float, float] | None
    quoted: bool  # false: strikes and prices are % of spot at t0, not prices of the exchange
    reference: float  # price of the underlying at t0, in the same unit


class Shares(NamedTuple):
    """Shares bought at the next open, with a stop from then on."""

    quantity: float
    reference: float  # close at t0; the open will differ
    stop_share: float  # of the close, below the open
    capital: float  # by which it was sized

    @property
    def distance(self) -> float:
        """From the open to the stop, in the price's unit."""
        return self.reference * self.stop_share

    @property
    def at_risk(self) -> float:
        """What is lost at the stop, before costs and gaps."""
        return self.quantity * self.distance


Ticket = Options | Shares
