"""The orders of a namespace on an account, as this process has read and written them."""

from collections.abc import Sequence

from bq.trading import ledger
from bq.trading.broker import Look
from bq.trading.intents import Intent, Order
from bq.trading.ledger import Stamp
from bq.trading.open_order import Open
from bq.trading.recount import Recount
from bq.trading.states import Note, Said


class Orders:
    """Those whose day is not over, and what moved on the account. What is written of them goes through here.

    An account is traded by one process at a time, so nobody else writes of them meanwhile: what was read once is
    followed by what this process writes.
    """

    def __init__(self, account: str, namespace: str) -> None:
        self._account, self._namespace = account, namespace
        self._open: dict[str, Open] | None = None  # None: not read yet
        self._unread: set[str] = set()  # orders of which something was written since
        self._recount: Recount | None = None
        self._told: tuple[set[str], set[str]] = set(), set()  # executions and commissions that the ledger has

    def mine(self) -> list[Open]:
        """In the order in which they were written."""
        return list(self._mine().values())

    def _mine(self) -> dict[str, Open]:
        if self._open is None:
            self._open = self._read(None)
        elif self._unread:
            known = {ref: one for ref, one in self._open.items() if ref not in self._unread}
            known |= self._read(self._unread)
            self._open = dict(sorted(known.items(), key=lambda item: (item[1].intent_id, item[0])))
        self._unread = set()
        return self._open

    def _read(self, among: set[str] | None) -> dict[str, Open]:
        return {one.order.order_ref: one for one in ledger.opened(self._account, self._namespace, among=among)}

    def on_account(self) -> list[Open]:
        """Those of every namespace, in the order in which they were written."""
        others = ledger.opened(self._account, but=self._namespace)
        return sorted([*self.mine(), *others], key=lambda one: (one.intent_id, one.order.order_ref))

    def recount(self) -> Recount:
        """What moved on the account, of whatever namespace."""
        if self._recount is None:
            self._recount = Recount(self._account)
        return self._recount

    def propose(self, meant: Sequence[tuple[Intent, Order]], stamp: Stamp) -> None:
        """`ledger.propose`."""
        self._unread.update(order.order_ref for _, order in meant)
        ledger.propose(meant, stamp)

    def book(self, intent: Intent, order: Order, moves: Sequence[tuple[str, int, int, int]], stamp: Stamp) -> None:
        """`ledger.book`."""
        self._recount = None
        ledger.book(intent, order, moves, stamp)

    def note(
        self, order_ref: str, said: Said, stamp: Stamp, *, limit_price: int | None = None, quantity: int | None = None
    ) -> None:
        """`ledger.note`."""
        mine, one = self._mine(), Note(said, None, quantity, limit_price)
        self._unread.add(order_ref)  # also where the writing fails
        ledger.note(order_ref, one, stamp)
        if order_ref in mine:
            self._unread.discard(order_ref)
            if said == Said.CLOSED:
                del mine[order_ref]
            else:
                mine[order_ref] = mine[order_ref].since([one], [])

    def adopt(self, look: Look, stamp: Stamp) -> None:
        """`ledger.adopt`, of what was not told before."""
        fills = [one for one in look.executions if one.exec_id not in self._told[0]]
        paid = [one for one in look.commissions if one.exec_id not in self._told[1]]
        mine, moved = self._mine(), self._recount
        self._open, self._recount = None, None  # read again where the writing fails
        notes, new = ledger.adopt(look, list(mine.values()), self._account, stamp, fills=fills, paid=paid)
        for ref in {*notes, *(one.order_ref for one in new)} & mine.keys():
            mine[ref] = mine[ref].since(notes.get(ref, []), [one for one in new if one.order_ref == ref])
        self._open = mine
        if moved is not None and moved.add(new, paid, mine):
            self._recount = moved
        self._told[0].update(one.exec_id for one in fills)
        self._told[1].update(one.exec_id for one in paid)
