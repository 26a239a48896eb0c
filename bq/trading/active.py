"""Orders that work on one contract and side of an account: brokers take only so many, stops among them."""

from collections import Counter
from collections.abc import Iterable, Sequence

from bq.strategies.desk import Leg
from bq.trading import gates
from bq.trading.intents import Intent, Order
from bq.trading.open_order import Open

Sides = Counter[tuple[tuple[Leg, ...], bool]]  # by what is ordered, and whether it is bought


def sides(opened: Sequence[Open]) -> Sides:
    """How many orders may still be filled. opened : of all namespaces on an account."""
    return Counter((one.legs, one.order.quantity > 0) for one in opened if not one.standing.ended)


def with_them(known: Sides, meant: Iterable[tuple[Intent, Order]]) -> int:
    """The most that would work on any of their sides, were these orders sent too."""
    more: Sides = Counter((intent.legs, order.quantity > 0) for intent, order in meant)
    return max((known[side] + n for side, n in more.items()), default=0)


def is_full(opened: Sequence[Open], legs: tuple[Leg, ...], quantity: int) -> bool:
    """Whether no further order of these legs is taken on the side of the quantity. opened : as of `sides`."""
    return sides(opened)[legs, quantity > 0] >= gates.MOST
