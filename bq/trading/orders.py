"""The orders of a namespace on an account, as this process has read and written them."""

from collections.abc import Sequence
from typing import Any

from bq.trading import ledger
from bq.trading.broker import Look
from bq.trading.intents import Intent, Order
from bq.trading.ledger import Open, Stamp
from bq.trading.states import Said


class Orders:
    """Those whose day is not over. What is written of them goes through here, and only then are they read again.

    An account is traded by one process at a time, so nobody else writes of them meanwhile.
    """

    def __init__(self, account: str, namespace: str) -> None:
        self._account, self._namespace = account, namespace
        self._read: list[Open] | None = None
        self._known: set[str] | None = None  # that may be open; None: not read yet
        self._told: tuple[set[str], set[str]] = set(), set()  # executions and commissions that the ledger has

    def mine(self) -> list[Open]:
        """In the order in which they were written."""
        if self._read is None:
            self._read = ledger.opened(self._account, self._namespace, among=self._known)
            self._known = {one.order.order_ref for one in self._read}
        return self._read

    def propose(self, meant: Sequence[tuple[Intent, Order]], stamp: Stamp) -> None:
        """`ledger.propose`."""
        self._read = None
        ledger.propose(meant, stamp)
        if self._known is not None:
            self._known.update(order.order_ref for _, order in meant)

    def note(self, order_ref: str, said: Said, stamp: Stamp, **known: Any) -> None:
        """`ledger.note`."""
        self._read = None
        ledger.note(order_ref, said, stamp, **known)

    def adopt(self, look: Look, stamp: Stamp) -> None:
        """`ledger.adopt`, of what was not told before."""
        fills = [one for one in look.executions if one.exec_id not in self._told[0]]
        paid = [one for one in look.commissions if one.exec_id not in self._told[1]]
        if ledger.adopt(look, self.mine(), self._account, stamp, fills=fills, paid=paid):
            self._read = None
        self._told[0].update(one.exec_id for one in fills)
        self._told[1].update(one.exec_id for one in paid)
