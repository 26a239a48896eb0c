"""An order whose day is not over: what was said about it and filled of it, and what of a look at the account is new."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bq.strategies.desk import Kind, Leg
from bq.trading.broker import Executed, Look, Seen, Status
from bq.trading.intents import Action, Order, Owner
from bq.trading.states import Execution, Note, Said, Standing, State, exec_id, standing


class Open(NamedTuple):
    """An order whose day is not over, with where it stands. trigger : of a stop, as the broker has it."""

    owner: Owner
    intent_id: int
    action: Action
    position: str
    symbol: str
    order: Order
    legs: tuple[Leg, ...]
    event: dict[str, Any]
    standing: Standing
    last: Seen | None = None  # what the broker said last
    notes: tuple[Note, ...] = ()
    fills: tuple[Executed, ...] = ()

    def since(self, notes: Sequence[Note], fills: Sequence[Executed]) -> "Open":
        """The order after some more was noted and filled."""
        notes, fills, ref = (*self.notes, *notes), (*self.fills, *fills), self.order.order_ref
        heard = [Seen(ref, n, Status(said), price, size) for said, n, size, price in notes if n is not None]
        whole = any(one.whole for one in fills)  # of a combination the whole counts units, else what there is
        counted = [one for one in fills if one.whole or not whole]
        known = [Execution(*exec_id(one.exec_id), one.quantity, one.perm_id) for one in counted]
        stands, last = standing(self.order.quantity, notes, known), heard[-1] if heard else None
        return self._replace(notes=notes, fills=fills, standing=stands, last=last)

    @property
    def trigger(self) -> int | None:
        """Of a stop: its price, once its parent is filled."""
        return self.last.limit_price if self.last and self.order.kind == Kind.STOP else None


def news(look: Look, mine: Sequence[Open]) -> dict[str, list[Note]]:
    """What a look says about orders that was not said last, by their names; one that it does not show is absent."""
    by_ref: dict[str, list[Seen]] = {}
    for seen in look.orders:
        by_ref.setdefault(seen.order_ref, []).append(seen)
    filled = {one.order_ref for one in look.executions}
    found: dict[str, list[Note]] = {}
    for one in mine:
        ref = one.order.order_ref
        shown = by_ref.get(ref, [])
        said = [_as_note(seen) for seen in shown if _is_news(one, seen)]
        new = ref in filled and not one.standing.filled  # what these fills make of it is read first
        if not shown and not new and one.standing.sendings and not one.standing.ended:
            said += _gone(one.standing.state)
        if said:
            found[ref] = said
    return found


def _as_note(seen: Seen) -> Note:
    return Note(Said(seen.status.value), seen.perm_id, seen.quantity, seen.limit_price)


def _gone(state: State) -> list[Note]:
    """What is noted of an order that a look does not show."""
    if state == State.INTENDED:
        return []
    return [Note(Said.ABSENT)] if state == State.UNKNOWN else [Note(Said.NO_ANSWER), Note(Said.ABSENT)]


def _is_news(one: Open, seen: Seen) -> bool:
    resized = seen.quantity is not None and abs(seen.quantity) != one.standing.asked
    if one.last == seen and not resized and one.standing.state not in (State.UNKNOWN, State.INTENDED, State.SENT):
        return False
    return resized or not (one.standing.ended and one.last == seen)
