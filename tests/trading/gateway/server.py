"""The socket: one connection at a time, answers to what the client asks, news of what happens, faults as drawn."""

import contextlib
import datetime as dt
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from . import frames
from .book import ACCOUNT, PARTS, WORKING, Book, Exec, Placed, Spec
from .frames import Order, Reader, error, frame

PLACE, CANCEL, START = 3, 4, 71
NAMES = {16: "open", 99: "completed", 7: "executions", 61: "positions", 76: "values", 9: "details", 78: "chains"}


class Faults:
    """What goes wrong, by a seed. chances : of a message of each kind, see `KINDS`. none : while nothing goes wrong."""

    KINDS = {
        "place": ("drop_before", "drop_after", "mute_before", "mute_after", "reject", "preset", "status_first"),
        "modify": ("drop_before", "drop_after", "mute_before", "mute_after", "renumber"),
        "ask": ("drop_before", "mute_before"),
    }

    def __init__(self, seed: int = 0, chances: dict[str, float] | None = None) -> None:
        self.random, self.chances, self.drawn = random.Random(seed), chances or {}, Counter[str]()
        self.none = not self.chances
        self.forced: dict[str, list[str]] = {}  # of the next messages of a kind, before anything is drawn

    def draw(self, what: str) -> str | None:
        """What goes wrong with a message; None: nothing."""
        if self.forced.get(what):
            return self.forced[what].pop(0)
        if self.none or self.random.random() >= self.chances.get(what, 0.0):
            return None
        kind = self.random.choice(self.KINDS[what])
        self.drawn[f"{what}.{kind}"] += 1
        return kind

    def often(self, what: str, share: float) -> bool:
        """Whether something happens that does with this share, where anything goes wrong at all."""
        happens = not self.none and self.random.random() < share
        self.drawn[what] += happens
        return happens


class Dropped(Exception):
    """The connection is cut here."""


class Gateway:
    """A paper account behind a port. received : how often each message came; ordered : orders that were no what-if."""

    def __init__(
        self,
        book: Book,
        port: int,
        *,
        accounts: str = ACCOUNT,
        version: int = 176,
        faults: Faults | None = None,
        margin: str = "500.0",
    ) -> None:
        self.book, self.port, self.accounts, self.version, self.margin = book, port, accounts, version, margin
        self.faults = faults or Faults()
        self.received: Counter[int] = Counter()
        self.ordered = 0
        self.outage = False
        self.nameless = False  # executions come without their orderRef
        self.warns = False  # 10349 for every open order, again and again
        self.silent: set[str] = set()  # requests that are never answered, see `NAMES`
        self.historical: Callable[[frames.Asked, str, str, str], list[tuple] | tuple[int, str]] | None = None
        self.quotes: Callable[[Spec], dict[int, float]] | None = None
        self._live: socket.socket | None = None
        self._taken: set[int] = set()
        self._next = 1
        self._writing = threading.RLock()
        book.partial = lambda order: (
            self.faults.often("partial", 0.3) if order.kind == "LMT" else self.faults.often("entry in part", 0.6)
        )
        book.with_its_rest = lambda order: self.faults.often("stop gone with the rest", 0.5)
        book.corrected = lambda one: self.faults.often("correction", 0.15)
        book.told = self._tell
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(("127.0.0.1", port))
        self._server.listen()
        self._ends = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and the connection."""
        self._ends = True
        with contextlib.suppress(OSError):  # stopped already
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop()
        self._thread.join(5)

    def drop(self) -> None:
        """Cut the connection."""
        live, self._live = self._live, None
        if live is not None:
            with contextlib.suppress(OSError):
                live.shutdown(socket.SHUT_RDWR)
            live.close()

    def cut(self) -> None:
        """1100: the gateway has lost its servers; what happens is not told."""
        self._say(error(-1, 1100, "Connectivity between IB and Trader Workstation has been lost."))
        self.outage = True

    def restore(self) -> None:
        """1102: they are back."""
        self.outage = False
        self._say(error(-1, 1102, "Connectivity between IB and Trader Workstation has been restored."))

    # ---- connections

    def _serve(self) -> None:
        while not self._ends:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        client_id = None
        try:
            stream = connection.makefile("rb")
            assert stream.read(4) == b"API\0"
            self._frame(stream)
            connection.sendall(frame(self.version, f"{dt.datetime(2019, 1, 2):%Y%m%d %H:%M:%S} UTC"))
            fields = self._frame(stream)
            assert int(fields[0]) == START
            self.received[START] += 1
            client_id = int(fields[2])
            if client_id in self._taken:
                connection.sendall(error(-1, 326, "Unable to connect as the client id is already in use."))
                return
            with self._writing:
                self._live = connection
            self._next = max([self._next, *(one.order_id + 1 for one in self.book.orders)])
            connection.sendall(frame(15, 1, self.accounts) + frame(9, 1, self._next))
            if self.outage:
                self._say(error(-1, 2110, "Connectivity between Trader Workstation and server is broken."))
            while True:
                self._hear(self._frame(stream), client_id)
        except (Dropped, OSError, struct.error, ValueError, AssertionError):
            pass
        finally:
            with self._writing:
                if self._live is connection:
                    self._live = None
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _frame(self, stream: Any) -> list[str]:
        (length,) = struct.unpack(">I", stream.read(4))
        return stream.read(length).decode().split("\0")[:-1]

    def _say(self, *messages: bytes) -> None:
        with self._writing:
            if self._live is not None:
                try:
                    self._live.sendall(b"".join(messages))
                except OSError:
                    self._live = None

    def _tell(self, what: str, one: Any) -> None:
        """News of an order, to who is connected; nothing while the servers are away."""
        if self.outage:
            return
        if what == "status":
            self._say(frames.status(one))
            return
        self._say(frames.execution(one, -1, nameless=self.nameless))
        if self.faults.often("duplicate", 0.3):
            self._say(frames.execution(one, -1, nameless=self.nameless))
        if one.commission is not None:
            self._say(frames.commission(one))

    # ---- what the client asks

    def _hear(self, fields: list[str], client_id: int) -> None:
        number = int(fields[0])
        self.received[number] += 1
        if number == PLACE:
            self._place(Order(fields), client_id)
        elif number == CANCEL:
            if self.book.cancel(int(fields[2])) is None:
                self._say(error(int(fields[2]), 10147, "OrderId that needs to be cancelled is not found."))
        elif number in NAMES:
            self._answer(NAMES[number], fields)
        elif number == 20:
            self._history(fields)
        elif number == 1:
            self._quote(fields)

    def _fault(self, kind: str | None) -> bool:
        """Carry out what goes wrong before a message acts; whether it does not act at all."""
        if kind == "drop_before":
            raise Dropped
        return kind == "mute_before"

    def _place(self, asked: Order, client_id: int) -> None:
        contract = asked.contract
        if asked.what_if:
            assert asked.transmit and asked.account == ACCOUNT
            spec = self._spec(asked)
            one = self._placed(asked, spec, client_id)
            self._say(frames.open_order(one, "PreSubmitted", margin=self.margin))
            return
        self.ordered += 1
        assert asked.account == ACCOUNT and asked.tif in ("DAY", "GTC"), (asked.account, asked.tif)
        if any(one.order_id == asked.order_id and one.client_id == client_id for one in self.book.orders):
            self._modify(asked)
            return
        kind = self.faults.draw("place")
        if self._fault(kind):
            return
        if kind == "reject":
            self._say(error(asked.order_id, 201, "Order rejected - reason: by chance"))
            return
        assert contract.sec_type != "BAG" or asked.params == {"NonGuaranteed": "0"}
        one = self._placed(asked, self._spec(asked), client_id)
        if kind == "status_first":
            self._say(frames.status(one, "Filled"))
        with self.book.lock:
            if kind == "drop_after":
                self.book.accept(one)
                raise Dropped
            if kind == "mute_after":
                live, self._live = self._live, None
                self.book.accept(one)
                self._live = live
                return
            self._say(frames.open_order(one, "PreSubmitted"))
            if kind == "preset":
                self._say(error(asked.order_id, 10349, "Order TIF was set to DAY based on order preset."))
            self.book.accept(one)
            self._say(frames.open_order(one), frames.status(one))

    def _modify(self, asked: Order) -> None:
        kind = self.faults.draw("modify")
        if self._fault(kind):
            return
        if asked.parent_id and all(one.order_id != asked.parent_id for one in self.book.working()):
            self._say(error(asked.order_id, 135, f"Can't find order with id = {asked.parent_id}"))
            return
        with self.book.lock:
            one = self.book.modify(
                asked.order_id, asked.limit, asked.trigger, asked.quantity, renumbered=kind == "renumber"
            )
            if kind == "drop_after":
                raise Dropped
            if kind == "mute_after":
                return
            if one is None:
                self._say(error(asked.order_id, 104, "Cannot modify a filled order."))
            else:
                self._say(frames.open_order(one), frames.status(one))

    def _spec(self, asked: Order) -> Spec:
        contract = asked.contract
        if contract.sec_type == "BAG":
            return Spec(28812380, contract.symbol, "BAG", trading_class="COMB", legs=asked.legs)
        spec = self.book.by_id(contract.con_id)
        assert spec is not None
        return spec

    def _placed(self, asked: Order, spec: Spec, client_id: int) -> Placed:
        self._next = max(self._next, asked.order_id + 1)
        return Placed(
            asked.order_id,
            client_id,
            self.book.number(),
            asked.ref,
            spec,
            asked.action,
            asked.quantity,
            asked.kind,
            asked.limit,
            asked.trigger,
            asked.tif,
            asked.group,
            asked.parent_id,
            asked.transmit,
            asked.params,
            self.book.session,
        )

    def _answer(self, what: str, fields: list[str]) -> None:
        if what in self.silent or self._fault(self.faults.draw("ask")):
            return
        with self.book.lock:
            self._say(*getattr(self, f"_{what}")(fields))

    def _open(self, fields: list[str]) -> list[bytes]:
        working = self.book.working()
        told = [message for one in working for message in (frames.open_order(one), frames.status(one))]
        if self.warns:
            told += [error(one.order_id, 10349, "Order TIF was set to DAY based on order preset.") for one in working]
        return [*told, frame(53, 1)]

    def _completed(self, fields: list[str]) -> list[bytes]:
        ended = [one for one in self.book.orders if one.status not in WORKING]
        return [*(frames.completed_order(one) for one in ended), frame(102)]

    def _executions(self, fields: list[str]) -> list[bytes]:
        number, told = int(fields[2]), list[bytes]()
        for one in self.book.told_executions:
            again = 2 if self.faults.often("duplicate", 0.2) else 1
            told += [frames.execution(one, number, nameless=self.nameless)] * again
        told.append(frame(55, 1, number))
        told += [frames.commission(one) for one in self.book.told_executions if one.commission is not None]
        return told

    def _positions(self, fields: list[str]) -> list[bytes]:
        return [*(self._position(name, n) for name, n in sorted(self.book.held.items())), frame(62, 1)]

    def _position(self, name: str, held: int) -> bytes:
        spec = self._named(name)
        parts = (spec.con_id, spec.symbol, spec.sec_type, spec.expiry, spec.strike, spec.right, spec.multiplier)
        return frame(61, 3, ACCOUNT, *parts, "", "USD", spec.symbol, spec.trading_class, held, 0.0)

    def _named(self, name: str) -> Spec:
        parts = name.split()
        if len(parts) == 1:
            return self.book.spec(name, "STK") or Spec(1, name, "STK")
        root, expiry, right, strike = parts
        symbol = next((s for s, one in self.book.listings.items() if (one.trading_class or s) == root), root)
        return self.book.spec(symbol, "OPT", expiry, float(strike), right) or Spec(
            2, symbol, "OPT", expiry, float(strike), right, "100", "SMART", root
        )

    def _values(self, fields: list[str]) -> list[bytes]:
        number, cash = int(fields[2]), self.book.cash / PARTS
        rows = [(tag, cash, "USD") for tag in ("AvailableFunds", "TotalCashValue", "NetLiquidation")]
        rows.insert(0, ("TotalCashValue", cash, "BASE"))
        told = [frame(73, 1, number, ACCOUNT, "", tag, f"{value:.4f}", currency) for tag, value, currency in rows]
        return [*told, frame(74, 1, number)]

    def _details(self, fields: list[str]) -> list[bytes]:
        read = Reader(fields)
        read.skip(2)
        number, asked = int(read.take()), frames.Asked(read)
        spec = self.book.spec(asked.symbol, asked.sec_type, asked.expiry, asked.strike, asked.right)
        if asked.sec_type == "BAG":
            return []  # it may never be answered
        if spec is None:
            return [error(number, 200, "No security definition has been found for the request")]
        return [frames.details(spec, number), frame(52, 1, number)]

    def _chains(self, fields: list[str]) -> list[bytes]:
        number, symbol = int(fields[1]), fields[2]
        listing = self.book.listings[symbol]
        told = [
            frame(75, number, exchange, 1, listing.trading_class or symbol, 100, *self._listed(listing))
            for exchange in ("AMEX", "SMART")
            if listing.expiries
        ]
        return [*told, frame(76, number)]

    def _listed(self, listing: Any) -> list[Any]:
        return [len(listing.expiries), *listing.expiries, len(listing.strikes), *listing.strikes]

    def _history(self, fields: list[str]) -> None:
        read = Reader(fields)
        read.skip(1)
        number, asked = int(read.take()), frames.Asked(read)
        read.skip(1)
        end, size, span = read.take(), read.take(), read.take()
        assert self.historical is not None and size == "1 day"
        read.skip(1)
        found = self.historical(asked, end, span, read.take())
        if isinstance(found, tuple):
            self._say(error(number, *found))
            return
        rows = [field for row in found for field in row]
        self._say(frame(17, number, "", "", len(found), *rows))

    def _quote(self, fields: list[str]) -> None:
        read = Reader(fields)
        read.skip(2)
        number, asked = int(read.take()), frames.Asked(read)
        spec = self.book.spec(asked.symbol, asked.sec_type, asked.expiry, asked.strike, asked.right)
        assert self.quotes is not None and spec is not None
        ticks = [frame(1, 6, number, kind, value, 10, 0) for kind, value in self.quotes(spec).items()]
        self._say(*ticks, frame(57, 1, number))


def book_of_refs(book: Book) -> dict[str, dict[str, int]]:
    """What each order moved by the broker's own book, corrections in the place of what they correct."""
    newest: dict[str, Exec] = {}
    for one in book.executions:
        base, _, revision = one.exec_id.rpartition(".")
        known = newest.get(base)
        if known is None or int(known.exec_id.rpartition(".")[2]) < int(revision):
            newest[base] = one
    found: dict[str, dict[str, int]] = {}
    for one in newest.values():
        if one.spec.sec_type != "BAG":
            mine = found.setdefault(one.ref, {})
            mine[one.spec.name] = mine.get(one.spec.name, 0) + one.quantity
    return found
