"""How connections are handled below what they ask: a request is sent whole and in time, and has one length."""

import asyncio

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lamarck.serve.protocol import Refusal

REQUEST_SECONDS = 20.0  # from the first byte of a request, or from connecting, to the last
LAST_WORDS_SECONDS = 5  # what running answers get when the server is told to stop
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol, for clients that begin a request and do not end it: they are let go."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # h11's states: IDLE before the last line of a request's head, SEND_BODY before the last byte of its body.
        if str(self.conn.their_state) not in ("IDLE", "SEND_BODY"):
            self._wait_no_longer()
        elif self._due is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._due = self.loop.call_later(REQUEST_SECONDS, self._let_go)

    def _wait_no_longer(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _let_go(self) -> None:
        if str(self.conn.our_state) in ("IDLE", "SEND_RESPONSE"):
            self.transport.write(TOO_SLOW)
        self.transport.close()


class OneLength:
    """An ASGI application around another one. A request with two lengths may be two requests (RFC 9112, 6.3): it is
    refused, and its connection closed, so that nothing behind it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope.get("headers", ())}
        if {b"content-length", b"transfer-encoding"} <= names:
            sentence = "a request has Content-Length or Transfer-Encoding, never both"
            refusal = Refusal(400, sentence, "invalid_request", {"Connection": "close"})
            await refusal.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def settings(app: ASGIApp) -> uvicorn.Config:
    """How a server of ours is run."""
    return uvicorn.Config(
        OneLength(app),
        http=ImpatientProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LAST_WORDS_SECONDS,
    )
