"""Ours against the broker's: contracts held, executions that no order of ours explains, orders that contradict."""

from typing import NamedTuple

from bq.trading import positions, protection
from bq.trading.broker import Look
from bq.trading.open_order import Open
from bq.trading.recount import Recount
from bq.trading.states import State


class Difference(NamedTuple):
    """How many of a contract the ledger and the broker hold, where they disagree."""

    contract: str
    ours: int
    theirs: int


class Reconciled(NamedTuple):
    """What a comparison found. answered : whether there was a look to compare with."""

    answered: bool
    differences: tuple[Difference, ...] = ()
    strangers: tuple[str, ...] = ()  # executions of no order of ours
    contradictory: tuple[str, ...] = ()  # orders
    unknown: tuple[str, ...] = ()  # orders of which it is not known whether the broker has them
    excessive: tuple[str, ...] = ()  # stops that may sell more than is held

    @property
    def holds(self) -> bool:
        """Whether new orders may be written; any doubt says no."""
        doubts = (self.differences, self.strangers, self.contradictory, self.unknown, self.excessive)
        return self.answered and not any(doubts)


def compare(look: Look | None, mine: list[Open], account: str, moved: Recount) -> Reconciled:
    """Compare the ledger with a look. mine : open orders of all namespaces on the account. moved : what it has."""
    if look is None:
        return Reconciled(answered=False)
    ours, theirs = positions.contracts(account, moved), {name: n for name, n in look.positions.items() if n}
    differences = tuple(
        Difference(name, ours.get(name, 0), theirs.get(name, 0))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name, 0) != theirs.get(name, 0)
    )
    return Reconciled(
        True,
        differences,
        tuple(moved.strangers),
        tuple(one.order.order_ref for one in mine if one.standing.contradictory),
        tuple(one.order.order_ref for one in mine if one.standing.state == State.UNKNOWN),
        tuple(one.order.order_ref for one in _excessive(mine, account, moved)),
    )


def _excessive(mine: list[Open], account: str, moved: Recount) -> list[Open]:
    return protection.excessive(mine, positions.held(account, moved=moved)) if protection.stops(mine) else []
