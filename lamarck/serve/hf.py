"""A generation behind our own server (app.py), in this process."""

import signal
import time
from threading import Thread
from typing import TYPE_CHECKING

from lamarck.config import Config
from lamarck.serve.address import Address
from lamarck.serve.held_back import held_back
from lamarck.serve.model import Servable, load
from lamarck.serve.watched import Watched

if TYPE_CHECKING:
    import uvicorn


def answer(model: Servable, config: Config, address: Address, idle_seconds: float | None) -> None:
    """Blocks until SIGINT or SIGTERM, or until nobody has asked anything for `idle_seconds`."""
    with held_back((signal.SIGINT, signal.SIGTERM)):
        import torch  # noqa: F401
    engine = load(model, config)

    import uvicorn

    from lamarck.serve.app import build_app
    from lamarck.serve.connection import settings

    watched = Watched(build_app(engine, model.name, address.key, address.hosts))
    server = uvicorn.Server(settings(watched))
    # uvicorn ends well on both signals, and then raises them again: being told to stop is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    # From here on clients may come; the first waits the moment that it takes to begin.
    address.listener.listen()
    address.announce(model.name, engine.device_name)
    if idle_seconds is not None:
        Thread(target=_end_when_idle, args=(server, watched, idle_seconds), daemon=True).start()
    server.run(sockets=[address.listener])


def _end_when_idle(server: "uvicorn.Server", watched: Watched, seconds: float) -> None:
    while (left := seconds - watched.idle_seconds()) > 0:
        time.sleep(left)
    print(f"nobody has asked anything for {seconds / 60:g} minutes", flush=True)
    server.should_exit = True
