"""How long nobody has asked a server anything. Light."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Watched:
    """An ASGI application around another one. Looking at /health asks nothing: a monitor keeps no server alive."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._running = 0
        self._since = time.monotonic()

    def idle_seconds(self) -> float:
        return 0.0 if self._running else time.monotonic() - self._since

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
            self._since = time.monotonic()
