"""One connection to TWS or IB Gateway: made again where it was lost, guarded every time, no wait without an end.

Only here the client library's connection is used, so that it can be replaced. Nothing is believed to have happened or
not to have happened because no answer came: that is `NoAnswer`, and the connection is made anew, as an answer that
comes late would be taken for one to the next question.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from bq.core.errors import BQError
from bq.trading import gates
from bq.trading.broker import NoAnswer
from bq.trading.ibkr import guard
from bq.trading.ibkr.guard import Address
from bq.trading.ibkr.library import RequestError, ib, util

log = logging.getLogger(__name__)

T = TypeVar("T")
CUT, RESTORED = frozenset({1100, 2110}), frozenset({1101, 1102})  # between the gateway and its servers
TAKEN = 326  # the client id
REFUSED = frozenset({110, 200, 201, 203, 321})  # an order, for good: price, contract, margin or rules, form
FAILED = (OSError, asyncio.TimeoutError, asyncio.CancelledError, RequestError)
HANDSHAKE = 2  # fields of the first message: version and time


class NotConnected(NoAnswer):
    """There is no connection, and none could be made."""


class Refused(NoAnswer):
    """A request was answered with an error. code, text : as the gateway gave them."""

    def __init__(self, what: str, code: int, text: str) -> None:
        super().__init__(f"IBKR: {what} was refused: {text} ({code})")
        self.code, self.text = code, text


class BadVersion(BQError):
    """TWS or IB Gateway and the client library do not understand each other."""


class Timing(NamedTuple):
    """Seconds. connect, answer : to wait for one. looks : between two of them at the account. step : of a limit."""

    connect: float = 20.0
    answer: float = 20.0
    looks: float = 3.0
    step: float = 300.0
    per_second: int = 45  # messages, of the 50 that are allowed; 0: as many as there are


class Wire:
    """A connection. account : the one that is traded, once it is connected."""

    def __init__(self, address: Address, client_id: int, *, account: str | None, timing: Timing) -> None:
        self.timing, self.version = timing, 0
        self.client_id = client_id
        self._address, self._wanted = address, account
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cut = False
        self._heard: list[int] = []  # error codes of this connection
        self._first = b""
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._refs: dict[int, str] = {}  # orders sent over this connection
        self.rejected: set[str] = set()  # orders of this process that were refused for good

    @property
    def account(self) -> str:
        """The account that is traded. Raises NoAnswer, NotPaper or BadVersion where there is no connection to one."""
        return guard.account(self.client().managedAccounts(), self._wanted)

    def stay_with(self, account: str) -> None:
        """Trade this account alone from now on: a login that does not manage it is refused."""
        self._wanted = account

    def client(self) -> Any:
        """The connected client library, connected again where it is not."""
        if self._client is None or not self._client.client.isReady():
            self._connect()
        return self._client

    def ask(self, what: str, request: Callable[[Any], Awaitable[T]], *, seconds: float | None = None) -> T:
        """The answer to a request. Raises NoAnswer where it fails, or the gateway has lost its servers.

        seconds : to wait for it, where that is not `Timing.answer`.
        """
        client = self._hearing()
        try:
            return util.run(request(client), timeout=seconds or self.timing.answer)
        except FAILED as error:
            raise self._lost(what, error) from error

    def send(self, order_ref: str, contract: Any, order: Any, *, wait: bool) -> None:
        """Send an order, or a change of one that has an id. wait : for an answer; raises NoAnswer where none comes.

        The guard and the kill switch are asked right before it leaves.
        """
        client = self._hearing()
        order.account = guard.account(client.managedAccounts(), self._wanted)
        if gates.stopped():
            raise NoAnswer(f"{order_ref} was not sent: the kill switch is on")
        number = order.orderId or client.client.getReqId()
        self._refs[number] = order_ref
        self.rejected.discard(order_ref)
        answered: asyncio.Future[None] = self._events().create_future()
        self._waiting[number] = answered
        log.info("order %s: %s %s, id %s", order_ref, order.action, order.totalQuantity, number)
        try:
            client.client.placeOrder(number, contract, order)
            if wait:
                util.run(answered, timeout=self.timing.answer)
        except FAILED as error:
            raise self._lost(order_ref, error) from error
        finally:
            self._waiting.pop(number, None)

    def cancel(self, number: int) -> None:
        """Ask for the cancellation of an order of this client."""
        client = self.client()
        try:
            client.client.cancelOrder(number)
            util.run(asyncio.sleep(0), timeout=self.timing.answer)
        except FAILED as error:
            raise self._lost(f"the cancellation of {number}", error) from error

    def sleep(self, seconds: float) -> None:
        """Wait, and hear what comes meanwhile."""
        self._events()
        try:
            util.run(asyncio.sleep(seconds))
        except FAILED as error:
            self._lost("", error)

    def close(self) -> None:
        """Leave."""
        self._drop()
        if self._loop is not None:
            asyncio.set_event_loop(None)
            self._loop.close()
            self._loop = None

    def _events(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop

    def _connect(self) -> None:
        self._drop()
        self._events()
        self._cut, self._heard, self._first = False, [], b""
        self._refs = {}  # numbers that this connection did not use may come again, for other things
        client: Any = ib.IB()
        client.RaiseRequestErrors, client.RequestTimeout = True, self.timing.answer
        client.client.MaxRequests = self.timing.per_second
        client.wrapper.clientId = self.client_id
        client.client.conn.hasData += self._on_data
        client.errorEvent += self._on_error
        client.openOrderEvent += self._on_order
        client.orderStatusEvent += self._on_order
        logging.getLogger(ib.__name__).setLevel(logging.DEBUG if log.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
        connecting = client.client.connectAsync(*self._address, self.client_id, self.timing.connect)
        task = self._events().create_task(connecting)
        client.client.apiError += lambda text: task.cancel()  # else it would wait for an answer that cannot come
        try:
            util.run(task)
            if not self._understood(client):
                raise self._unconnected(client)
            name = guard.account(client.client.getAccounts(), self._wanted)
        except FAILED as error:
            self._leave(client)
            raise self._unconnected(client) from error
        except BQError:
            self._leave(client)
            raise
        self._client, self.version = client, client.client.serverVersion()
        log.info("connected to %s as client %s: %s, version %s", self._address, self.client_id, name, self.version)

    def _understood(self, client: Any) -> bool:
        library = client.client
        return library.MinClientVersion <= self._version() <= library.MaxClientVersion

    def _version(self) -> int:
        """What the first message names; 0 where none came."""
        fields = self._first[4:].split(b"\0")[:HANDSHAKE]
        return int(fields[0]) if fields[0].isdigit() else 0

    def _unconnected(self, client: Any) -> BQError:
        host, port = self._address
        where, library = f"{host}:{port}", client.client
        if self._version() and not self._understood(client):
            return BadVersion(
                f"TWS or IB Gateway at {where} must speak a version from {library.MinClientVersion} to "
                f"{library.MaxClientVersion}, but speaks {self._version()}, which the client library does not "
                "understand. Nothing was sent. Install another version of it."
            )
        if TAKEN in self._heard:
            return NotConnected(
                f"the client id {self.client_id} must be free at {where}, but another program uses it. Nothing was "
                "sent. End that one, or set `trading.ibkr.client_id`."
            )
        return NotConnected(
            f"TWS or IB Gateway must answer at {where}, but does not. Nothing was sent. Start it with the paper "
            "account, and let it accept API clients on that port (docs/paper_account.md)."
        )

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._leave(client)

    def _leave(self, client: Any) -> None:
        """Close a connection, and let the loop see it closed."""
        client.disconnect()
        for _ in range(2):
            self._events().run_until_complete(asyncio.sleep(0))

    def _lost(self, what: str, error: BaseException) -> NoAnswer:
        """What is raised for a failure; after it nothing is expected on this connection any more."""
        if isinstance(error, RequestError):
            return Refused(what, error.code, error.message)
        self._drop()
        return NoAnswer(f"IBKR: no answer to {what}: {error or type(error).__name__}")

    def _hearing(self) -> Any:
        """The client, once it has heard what came meanwhile. Raises NoAnswer where what it says now is old."""
        client = self.client()
        self.sleep(0)
        if client is not self._client or not client.client.isReady():
            raise NoAnswer("IBKR: the connection was lost")
        if self._cut:
            raise NoAnswer("IBKR: the gateway has lost its servers, what it says now is old")
        return client

    def _on_data(self, data: bytes) -> None:
        if len(self._first.split(b"\0")) <= HANDSHAKE:
            self._first += data

    def _on_error(self, number: int, code: int, text: str, contract: Any) -> None:
        self._heard.append(code)
        self._cut = code in CUT or (self._cut and code not in RESTORED)
        log.log(logging.DEBUG if 2100 <= code < 2110 else logging.INFO, "IBKR %s for %s: %s", code, number, text)
        if code in REFUSED and number in self._refs:
            self.rejected.add(self._refs[number])
        self._answer(number)

    def _on_order(self, trade: Any) -> None:
        self._answer(trade.order.orderId)

    def _answer(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
