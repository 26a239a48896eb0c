"""What is meant: a position to open or to close, the orders that do it, and their names."""

import datetime as dt
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from bq.core.errors import BadParameters
from bq.strategies.desk import Event, Kind, Leg, Right

LONGEST = 40  # characters of an orderRef
EVENT = 16  # of an event's id
REF = re.compile(r"(?P<track>[A-Za-z0-9]+)-(?P<event>[A-Za-z0-9]+)-(?P<action>open|close)-(?P<number>\d+)")


class Action(StrEnum):
    """Whether an order makes a position larger or smaller."""

    OPEN = "open"
    CLOSE = "close"


class Tif(StrEnum):
    """How long an order is good."""

    DAY = "DAY"
    GTC = "GTC"


class Owner(NamedTuple):
    """Whose an order or a position is."""

    account: str
    namespace: str
    track: str


class Intent(NamedTuple):
    """A decision to trade, or, with a refusal, not to. quantity : units, negative to sell. risk : of all, in parts."""

    owner: Owner
    position: str  # what belongs together: the opening event's id, or the symbol in a whole book
    event_id: str
    symbol: str
    action: Action
    session: dt.date  # at whose close it was decided
    quantity: int
    source: str  # of the event: simulated, modelled, real
    event: Event
    legs: tuple[Leg, ...]
    risk: int | None = None
    reason: str | None = None  # of an exit
    model_id: str | None = None
    period_end_utc: dt.datetime | None = None  # of a whole book: when it is next rebalanced


class Order(NamedTuple):
    """What is sent. Prices are in parts (`bq.trading.money`), of one unit, per share."""

    order_ref: str
    kind: Kind
    quantity: int  # units, negative to sell
    session: dt.date  # in which it is to be filled, or from which on it is good
    expires_utc: dt.datetime  # after that it is not sent any more
    tif: Tif = Tif.DAY
    limit_price: int | None = None  # where it begins …
    last_price: int | None = None  # … and how far it may be moved
    stop_distance: int | None = None  # below the price at which its parent is filled
    parent: str | None = None


def order_ref(track: str, event_id: str, action: Action, number: int) -> str:
    """The name of an order.

    >>> order_ref("ButterBaseline", "83dafa8b4025e6fd171728212ad9e60f", Action.OPEN, 1)
    'ButterBaseline-83dafa8b4025e6fd-open-1'

    Raises BadParameters where it would be longer than a broker takes, or hold other signs.
    """
    made = f"{track}-{event_id[:EVENT]}-{action}-{number}"
    if len(made) > LONGEST or not REF.fullmatch(made):
        raise BadParameters(
            f"an orderRef must be at most {LONGEST} letters, digits and dashes, but would be {made!r}. Give the track "
            "a shorter name (trading.tracks)."
        )
    return made


def legs_as_json(legs: tuple[Leg, ...]) -> list[dict[str, Any]]:
    """Legs as a JSON column holds them."""
    return [as_json(leg._asdict()) for leg in legs]


def legs_of(stored: list[dict[str, Any]]) -> tuple[Leg, ...]:
    """The legs of a JSON column."""
    known = [from_json(leg) for leg in stored]
    return tuple(Leg(**{**leg, "right": Right(leg["right"]) if leg["right"] else None}) for leg in known)


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of an event as a JSON column holds them, dates and times marked as such."""
    return {name: _marked(value) for name, value in values.items()}


def from_json(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `as_json`."""
    return {name: _unmarked(value) for name, value in stored.items()}


def _marked(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return {"utc": value.astimezone(dt.UTC).isoformat()}
    return {"date": value.isoformat()} if isinstance(value, dt.date) else value


def _unmarked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return dt.datetime.fromisoformat(value["utc"]) if "utc" in value else dt.date.fromisoformat(value["date"])
