"""`lamarck serve`: check a generation, load it, and answer until told to stop."""

import os
import signal
import socket
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from lamarck.config import is_loopback, load_config
from lamarck.errors import LamarckError
from lamarck.lineage import Generation
from lamarck.serve.model import load, servable
from lamarck.serve.watched import Watched

if TYPE_CHECKING:
    import uvicorn

KEY_VARIABLE = "LAMARCK_API_KEY"
SHORTEST_KEY = 16  # characters: a shorter one can be guessed over the network
LAST_WORDS_SECONDS = 5  # what running answers get when the server is told to stop


def serve(generation: Generation, host: str, port: int, idle_minutes: float | None, config_path: Path) -> None:
    """Blocks until SIGINT or SIGTERM, or until nobody has asked anything for `idle_minutes`.

    Errors: LamarckError where the generation or the address may not be served.
    """
    config = load_config(config_path)
    key = required_key(host)
    listener = _bind(host, port)
    model = servable(generation)
    print(f"{model.name} matches its record; loading it", flush=True)
    engine = load(model, config)

    import uvicorn

    from lamarck.serve.app import build_app

    hosts = ["*"] if not is_loopback(host) else ["localhost", "127.0.0.1", "[::1]", "::1", host]
    watched = Watched(build_app(engine, model.name, key, hosts))
    server = uvicorn.Server(
        uvicorn.Config(
            watched,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=LAST_WORDS_SECONDS,
        )
    )
    # uvicorn ends well on both signals, and then raises them again: being told to stop is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    # From here on clients may come; the first waits the moment that it takes to begin.
    listener.listen()
    address = f"[{host}]" if ":" in host else host
    print(
        f"{model.name} on {engine.device_name} answers at http://{address}:{listener.getsockname()[1]}/v1 "
        f"({'with the key in ' + KEY_VARIABLE if key else 'no key'}); Ctrl-C stops it",
        flush=True,
    )
    if idle_minutes is not None:
        Thread(target=_end_when_idle, args=(server, watched, 60 * idle_minutes), daemon=True).start()
    server.run(sockets=[listener])
    print("stopped")


def _end_when_idle(server: "uvicorn.Server", watched: Watched, seconds: float) -> None:
    while (left := seconds - watched.idle_seconds()) > 0:
        time.sleep(left)
    print(f"nobody has asked anything for {seconds / 60:g} minutes", flush=True)
    server.should_exit = True


def required_key(host: str) -> str | None:
    """The key that clients must show, from the environment. Errors: LamarckError where others could come in without."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and not is_loopback(host):
        raise LamarckError(
            f"{host} can be reached from other machines: set {KEY_VARIABLE} to a secret that clients must show, "
            "or serve on 127.0.0.1 and use an ssh tunnel"
        )
    if key and (len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable()):
        raise LamarckError(f"{KEY_VARIABLE} must be plain ASCII of at least {SHORTEST_KEY} characters")
    return key or None


def _bind(host: str, port: int) -> socket.socket:
    """The address is ours from here on, but nobody is let in before the model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise LamarckError(
            f"cannot listen on {host}:{port} ({error.strerror}): give another --port or --host"
        ) from error
    return listener
