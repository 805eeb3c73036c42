"""The other side of lamarck/serve/vllm.py: vLLM's own OpenAI server. It runs in vLLM's own environment, which has other
versions of what lamarck needs: so it imports the standard library, vLLM and what vLLM brings along, and nothing else.

The one line of standard input says what to serve, and where. The process ends, with all that vLLM has started, when
standard input does. vLLM's own key guards /v1 alone, and it answers to any host's name: `Door` stands before it.
"""

import asyncio
import hmac
import json
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, ClassVar

LAST_WORDS_SECONDS = 5  # what running answers get when the server is told to stop
GRACE = 10.0  # seconds that vLLM has to end its processes and free what they share
MOST_BODY = 4 * 2**20  # bytes
REQUEST_SECONDS = 20.0  # that a request's body may take

Settings = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def main() -> None:
    os.dup2(2, 1)  # vLLM logs to standard output, and standard error is what is read
    line = sys.stdin.readline()
    if not line:
        return
    threading.Thread(target=_end_with_input, daemon=True).start()
    settings: Settings = json.loads(line)
    Door.name, Door.hosts, Door.key = settings["name"], settings["hosts"], os.environ["VLLM_API_KEY"] or None

    from vllm.platforms import current_platform

    # Without a GPU there are no graphs to capture, and compiling kernels takes longer than they save.
    eager = current_platform.is_cpu()
    if eager:
        os.environ["TORCH_COMPILE_DISABLE"] = "1"
    # By its path: this process is isolated, and finds no module of ours.
    worker = runpy.run_path(str(Path(__file__).parents[1] / "engine/vllm_worker.py"))
    # Beside the workers there are two processes, for HTTP and for the schedule. Requests wait for room: one must fit.
    arguments = worker["engine_arguments"](settings["model"], eager, front=2, at_least=1) | _server_arguments(settings)
    arguments["structured_outputs_config"] = json.dumps({"backend": worker["HOLDS_FORMS"]})
    arguments["reasoning_parser"] = worker["REASONING"] if settings["reasons"] else None
    sys.argv = ["vllm", *_flags(arguments)]
    # What `vllm serve` comes to; that command itself fails in the package for CPUs, which has another name.
    from vllm.entrypoints.launchers.api_server.entry import main as serve

    serve()


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


def _server_arguments(settings: Settings) -> dict[str, Any]:
    adapter = settings["model"]["adapter"]
    lora = {"lora_modules": json.dumps({"name": settings["name"], "path": adapter["path"]})} if adapter else {}
    return {
        "host": settings["host"],
        "port": settings["port"],
        "served_model_name": FOUNDER if adapter else settings["name"],
        "chat_template": settings["chat_template"],
        "generation_config": "vllm",  # temperature and the like as OpenAI's, not as the model's makers suggest
        "shutdown_timeout": LAST_WORDS_SECONDS,
        "middleware": "__main__.Door",
        "uvicorn_log_level": "warning",
        "disable_uvicorn_access_log": True,
        "disable_fastapi_docs": True,
        **lora,
    }


def _flags(arguments: dict[str, Any]) -> list[str]:
    """As vLLM's command line has them."""
    flags: list[str] = []
    for name, value in arguments.items():
        if value is None:
            continue
        flags.append(f"--{'no-' if value is False else ''}{name.replace('_', '-')}")
        if not isinstance(value, bool):
            flags += map(str, value if isinstance(value, list) else [value])
    return flags


FOUNDER = "founder"  # vLLM serves what the adapter lies on, too: under a name that `Door` lets nobody ask for


class Door:
    """ASGI middleware around all of vLLM: what is not meant for clients, or not from one of ours, ends here."""

    name: ClassVar[str]
    hosts: ClassVar[list[str]]
    key: ClassVar[str | None]

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        self._app = app
        self._inside = TrustedHostMiddleware(self._checked, allowed_hosts=self.hosts, www_redirect=False)
        self._started = int(time.time())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope.get("headers", ())}:
            # It may be two requests (RFC 9112, 6.3): nothing behind it is read.
            sentence = "a request has Content-Length or Transfer-Encoding, never both"
            await _refuse(400, sentence, "invalid_request", scope, receive, send, {"Connection": "close"})
            return
        inside = self._app if scope["type"] == "lifespan" or scope.get("path") == "/health" else self._inside
        await inside(scope, receive, send)

    async def _checked(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] != "http" or not (path == "/metrics" or path.startswith("/v1/")):
            await _refuse(404, "there is no such path here", "not_found", scope, receive, send)
        elif not self._has_key(dict(scope["headers"])):
            sentence = "this server wants its API key, as a bearer token"
            await _refuse(401, sentence, "invalid_api_key", scope, receive, send)
        elif path == "/v1/models":
            card = {"id": self.name, "object": "model", "created": self._started, "owned_by": "lamarck"}
            await _answer(200, {"object": "list", "data": [card]}, scope, receive, send)
        elif scope["method"] == "POST":
            await self._named(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, headers: dict[bytes, bytes]) -> bool:
        shown = headers.get(b"authorization", b"")
        return self.key is None or hmac.compare_digest(shown, f"Bearer {self.key}".encode())

    async def _named(self, scope: Message, receive: Receive, send: Send) -> None:
        """Without a name vLLM would answer as the founder, which is another model."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            sentence = "the request did not come to its end in time"
            await _refuse(408, sentence, "invalid_request", scope, receive, send, {"Connection": "close"})
            return
        if body is None:
            await _refuse(413, "the request is too large", "invalid_request", scope, receive, send)
            return
        if (asked := _model(body)) != self.name:
            sentence = f"there is no model {asked!r} here; this server has {self.name}"
            await _refuse(404, sentence, "model_not_found", scope, receive, send)
            return
        read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return read.pop() if read else await receive()

        await self._app(scope, again, send)


async def _body(receive: Receive) -> bytes | None:
    """All of a request's body; None where it is too large."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BODY:
            return None
    return body


def _model(body: bytes) -> object:
    """The model that a request names; None where it names none."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content.get("model") if isinstance(content, dict) else None


async def _refuse(
    status: int,
    sentence: str,
    code: str,
    scope: Message,
    receive: Receive,
    send: Send,
    headers: dict[str, str] | None = None,
) -> None:
    error = {"message": sentence, "type": "invalid_request_error", "param": None, "code": code}
    await _answer(status, {"error": error}, scope, receive, send, headers)


async def _answer(
    status: int, content: object, scope: Message, receive: Receive, send: Send, headers: dict[str, str] | None = None
) -> None:
    from starlette.responses import JSONResponse

    await JSONResponse(content, status, headers)(scope, receive, send)


if __name__ == "__main__":
    main()
