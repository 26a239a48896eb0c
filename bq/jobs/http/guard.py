"""What every request passes first: host, token, size of the body, time. Plain ASGI, so that it costs microseconds."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LARGEST = 64 << 20  # bytes of a body: a batch of about 150,000 rows of 26 features
SECONDS = 60  # within which an answer begins
OPEN = ("/healthz", "/readyz")  # need no token: a supervisor asks


class Guard:
    """Refuses what must not reach the application, and counts every answer.

    token : None lets everyone in, who then must be on this machine. hosts : names by which it may be asked; empty: any.
    counted : told of the path, the status and the seconds of each answer.
    """

    def __init__(
        self, app: App, *, token: str | None, hosts: frozenset[str], counted: Callable[[str, int, float], None]
    ) -> None:
        self.app, self.hosts, self.counted = app, hosts, counted
        self.bearer = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._answered(scope, receive, sent, lambda: status)
        finally:
            self.counted(scope["path"], status, time.perf_counter() - begun)

    async def _answered(self, scope: Message, receive: Receive, send: Send, status: Callable[[], int]) -> None:
        if (refused := self._refused(scope)) is not None:
            await refuse(send, *refused)
            return
        try:
            async with asyncio.timeout(SECONDS):
                await self.app(scope, _limited(receive), send)
        except TimeoutError:
            if not status():
                await refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, f"no answer within {SECONDS} seconds; ask again.")

    def _refused(self, scope: Message) -> tuple[HTTPStatus, str] | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0].strip("[]")
        if self.hosts and host not in self.hosts:  # a page of elsewhere whose name points here
            return HTTPStatus.FORBIDDEN, f"Host must be one of {', '.join(sorted(self.hosts))}."
        if self.bearer is not None and scope["path"] not in OPEN:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self.bearer):
                return HTTPStatus.UNAUTHORIZED, "Authorization must be `Bearer <token>` with the token of this server."
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return HTTPStatus.BAD_REQUEST, "Content-Length must be a whole number."
        return (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE) if int(length) > LARGEST else None


TOO_LARGE = f"a body must have at most {LARGEST:,} bytes; send the rows in several requests."


def _limited(receive: Receive) -> Receive:
    """A body sent in chunks has no length beforehand."""
    read = 0

    async def received() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > LARGEST:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return message

    return received


async def refuse(send: Send, status: HTTPStatus, sentence: str) -> None:
    """Answer with a sentence."""
    body = to_json({"error": sentence})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
