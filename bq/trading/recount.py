"""What moved on an account: the executions of its orders and what was charged for them, each in its last revision.

It is read out of the ledger once. Who writes the ledger adds what he writes, so that a long one is not read every time.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.trading.broker import Charged, Executed
from bq.trading.intents import Action, Owner
from bq.trading.ledger import WHO, commissions, executions, intents, orders
from bq.trading.open_order import Open
from bq.trading.states import exec_id


class Place(NamedTuple):
    """A position of an owner."""

    owner: Owner
    position: str


class Fill(NamedTuple):
    """An execution of one contract. quantity : negative to sell. cash : that it moved, in parts."""

    action: Action
    contract: str
    session: dt.date
    quantity: int
    cash: int


@dataclass
class Moved:
    """What moved in one position. net : how many of each contract are left, none where there are none."""

    fills: list[Fill] = field(default_factory=list)
    net: dict[str, int] = field(default_factory=dict)
    cash: int = 0
    last: dt.date = dt.date.min  # session of any of it

    def add(self, fill: Fill) -> None:
        """One more."""
        self.fills.append(fill)
        self._sum(fill, 1)
        self.last = max(self.last, fill.session)

    def replace(self, before: Fill, fill: Fill) -> None:
        """The same, as it was corrected."""
        self.fills.remove(before)
        self._sum(before, -1)
        self.add(fill)

    def _sum(self, fill: Fill, sign: int) -> None:
        self.cash += sign * fill.cash
        left = self.net.get(fill.contract, 0) + sign * fill.quantity
        self.net[fill.contract] = left
        if not left:
            del self.net[fill.contract]

    def through(self, session: dt.date) -> "Moved":
        """What had moved at the close of a session."""
        if self.last <= session:
            return self
        found = Moved()
        for fill in self.fills:
            if fill.session <= session:
                found.add(fill)
        return found


class Recount:
    """What moved on an account, by position. strangers : ids of executions that are of no order of the ledger."""

    def __init__(self, account: str) -> None:
        self.strangers: list[str] = []
        self._moved: dict[Place, Moved] = {}
        self._last: dict[str, tuple[int, Fill | None]] = {}  # by base: revision; no fill of a combination as one
        self._whose: dict[str, tuple[Owner, dt.date]] = {}  # by id, of every revision
        self._paid: dict[str, tuple[int, Charged]] = {}  # by base: the last revision
        columns = [executions.c[name] for name in Executed._fields]
        query = sa.select(*columns, *(intents.c[name] for name in (*WHO, "position", "action")))
        joined = executions.outerjoin(orders, orders.c.order_ref == executions.c.order_ref)
        joined = joined.outerjoin(intents, intents.c.intent_id == orders.c.intent_id)
        charged = sa.select(commissions.c.exec_id, commissions.c.amount).join(
            executions, executions.c.exec_id == commissions.c.exec_id
        )
        with db.engine().connect() as connection:
            rows = connection.execute(query.select_from(joined).where(executions.c.account == account))
            for *values, given, namespace, track, position, action in rows:
                one = Executed(*values)
                if namespace is None:
                    self.strangers.append(one.exec_id)
                else:
                    self._add(one, Place(Owner(given, namespace, track), position), Action(action))
            for row in connection.execute(charged.where(executions.c.account == account)):
                self._charge(Charged(*row))

    def add(self, executed: Iterable[Executed], charged: Iterable[Charged], mine: Mapping[str, Open]) -> bool:
        """Add what was written to the ledger; what is known already stays. mine : open orders, by name.

        Returns False, having added some of it, where it is of other orders: then the ledger is to be read again.
        """
        for one in executed:
            order = mine.get(one.order_ref)
            if order is None:
                return False
            self._add(one, Place(order.owner, order.position), order.action)
        for paid in charged:
            self._charge(paid)
        return True

    def moved(self, namespace: str | None = None, through: dt.date | None = None) -> Iterator[tuple[Place, Moved]]:
        """What moved in each position of a namespace (None: of all) up to a session (None: until now)."""
        for place, known in self._moved.items():
            if namespace in (None, place.owner.namespace):
                yield place, known if through is None else known.through(through)

    def charges(self, namespace: str | None = None, through: dt.date | None = None) -> dict[Owner, int]:
        """What each owner was charged for executions up to a session (None: all)."""
        total: dict[Owner, int] = defaultdict(int)
        for _, (of, amount) in self._paid.values():
            owner, session = self._whose.get(of, (None, dt.date.max))
            if owner and namespace in (None, owner.namespace) and (through is None or session <= through):
                total[owner] += amount
        return total

    def _add(self, one: Executed, place: Place, action: Action) -> None:
        if one.exec_id in self._whose:
            return
        self._whose[one.exec_id] = place.owner, one.session
        base, revision = exec_id(one.exec_id)
        last, before = self._last.get(base, (0, None))
        if last > revision:
            return
        cash = -int(one.quantity) * int(one.price) * int(one.multiplier)
        fill = None if one.whole else Fill(action, one.contract, one.session, int(one.quantity), cash)
        self._last[base] = revision, fill
        if fill is None:
            return
        moved = self._moved.setdefault(place, Moved())
        if before is not None:
            moved.replace(before, fill)
        else:
            moved.add(fill)

    def _charge(self, one: Charged) -> None:
        base, revision = exec_id(one.exec_id)
        if base not in self._paid or self._paid[base][0] < revision:
            self._paid[base] = revision, one
