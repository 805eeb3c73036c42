"""A real server on a free port of this machine, for as long as a block runs."""

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from lamarck.serve.connection import settings


@contextmanager
def serving(app: ASGIApp, plain: bool = False) -> Iterator[str]:
    """Yield the URL at which `app` answers; `plain`: as uvicorn runs it by itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning") if plain else settings(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended before it started"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def said_url(server: "subprocess.Popen[str]") -> str:
    """The URL at which `lamarck serve` says that it answers; what it said instead is shown where it ends first."""
    assert server.stdout
    lines: list[str] = []
    for line in server.stdout:
        lines.append(line)
        if found := re.search(r"answers at (http://\S+/v1)", line):
            return found[1]
    raise AssertionError(lines)
