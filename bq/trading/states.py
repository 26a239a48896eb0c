"""The state of an order: what its notes and its executions say, read in their order.

    intended → sending → sent → working → (partly filled)* → filled | cancelled | rejected, and unknown from anywhere

Filled comes from executions alone and never falls. A call without an answer says nothing: the order is unknown until it
is seen, or until `LOOKS` looks in a row answered and did not show it; only then may it be sent again, or is it over
where some of it was filled. What is cancelled stays open to revision until its day is over: it may be filled late, or
turn out to be working.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

LOOKS = 2  # clean looks in a row that do not show an order, before it may be sent again


class State(StrEnum):
    """Where an order stands."""

    INTENDED = "intended"  # certainly not at the broker
    UNKNOWN = "unknown"
    SENT = "sent"
    WORKING = "working"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Said(StrEnum):
    """What is noted about an order, by us or as the broker says it."""

    SENDING = "sending"  # written before every call that sends it
    ACCEPTED = "accepted"  # the call was answered
    NO_ANSWER = "no_answer"
    ABSENT = "absent"  # a look that answered did not show it
    WORKING = "working"
    FILLED = "filled"  # said, and to be believed when the executions are there
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    REPRICED = "repriced"  # or of another quantity
    CANCELLING = "cancelling"
    LAPSED = "lapsed"  # never sent, and too late for it
    CLOSED = "closed"  # its day is over


SAYS = {
    Said.SENDING: State.UNKNOWN,
    Said.ACCEPTED: State.SENT,
    Said.NO_ANSWER: State.UNKNOWN,
    Said.WORKING: State.WORKING,
    Said.FILLED: State.WORKING,
    Said.CANCELLED: State.CANCELLED,
    Said.REJECTED: State.REJECTED,
    Said.LAPSED: State.CANCELLED,
}
ENDED = frozenset({State.FILLED, State.CANCELLED, State.REJECTED})


class Note(NamedTuple):
    """One row of an order's history. perm_id : the broker's number; a modified order may have two. quantity : units
    that it is of from then on, negative to sell; None: as before. limit_price : in parts, of a stop its trigger.
    """

    said: Said
    perm_id: int | None = None
    quantity: int | None = None
    limit_price: int | None = None


class Execution(NamedTuple):
    """A fill of whole units. base, revision : of its id, which ends in .01, corrected by .02."""

    base: str
    revision: int
    quantity: int  # negative: sold
    perm_id: int | None = None


class Standing(NamedTuple):
    """An order as its history has it. asked, filled, remaining : units, not negative."""

    state: State
    asked: int
    filled: int
    remaining: int
    perm_ids: frozenset[int]
    absent: int  # clean looks in a row that did not show it
    sendings: int
    contradictory: bool  # filled beyond its quantity, against its side, or corrected to fewer units

    @property
    def ended(self) -> bool:
        """Whether it can be filled no more, as far as is known."""
        return self.state in ENDED

    @property
    def may_be_sent(self) -> bool:
        """Whether it is certain that the broker does not have it."""
        return self.state == State.INTENDED


def exec_id(text: str) -> tuple[str, int]:
    """The base and the revision of an execution's id.

    >>> exec_id("0000e0d5.65f0a1b2.01.02"), exec_id("odd")
    (('0000e0d5.65f0a1b2.01', 2), ('odd', 1))
    """
    base, _, last = text.rpartition(".")
    return (base, int(last)) if base and last.isdecimal() else (text, 1)


def standing(quantity: int, notes: Iterable[Note], executions: Iterable[Execution]) -> Standing:
    """Read an order's history.

    quantity : units asked for at first, negative to sell. notes : in the order they were made. executions : in any
    order, those that came twice and earlier revisions among them.
    """
    state, absent, sendings, asked = State.INTENDED, 0, 0, abs(quantity)
    most = asked
    numbers: set[int | None] = set()
    for said, perm_id, size, _ in notes:
        numbers.add(perm_id)
        asked = asked if size is None else abs(size)
        most = max(most, asked)
        sendings += said == Said.SENDING
        if said == Said.ABSENT:
            absent += 1
            state = State.INTENDED if absent >= LOOKS and state == State.UNKNOWN else state
            continue
        absent = 0
        state = SAYS.get(said, state)
    filled, odd = 0, False
    by_base: dict[str, dict[int, Execution]] = {}
    for execution in executions:
        by_base.setdefault(execution.base, {})[execution.revision] = execution
        numbers.add(execution.perm_id)
    for revisions in by_base.values():
        sizes = [one.quantity for one in revisions.values()]
        filled += max(map(abs, sizes))
        odd |= len(set(sizes)) > 1 or any(size * quantity < 0 for size in sizes)
    return Standing(
        _with_fills(state, filled, asked, gone=absent >= LOOKS),
        asked,
        filled,
        max(asked - filled, 0),
        frozenset(number for number in numbers if number is not None),
        absent,
        sendings,
        odd or filled > most,
    )


def _with_fills(state: State, filled: int, asked: int, *, gone: bool) -> State:
    if filled and filled >= asked:
        return State.FILLED
    if filled and gone and state == State.INTENDED:
        return State.CANCELLED
    if filled and state in (State.INTENDED, State.SENT, State.WORKING):
        return State.PARTLY_FILLED
    return state
