"""Where a server answers, and whom. Light."""

import os
import socket
from dataclasses import dataclass

from lamarck.config.engine import is_loopback
from lamarck.errors import LamarckError

KEY_VARIABLE = "LAMARCK_API_KEY"
SHORTEST_KEY = 16  # characters: a shorter one can be guessed over the network


@dataclass(frozen=True)
class Address:
    """`host` as it was given; a socket that has the address but does not listen; the key that clients must show."""

    host: str
    listener: socket.socket
    key: str | None

    @property
    def ip(self) -> str:
        return str(self.listener.getsockname()[0])

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def hosts(self) -> list[str]:
        """Names by which the server may be called, so that no other name can be bent to point here; * for any."""
        return ["localhost", "127.0.0.1", "[::1]", "::1", self.host] if is_loopback(self.host) else ["*"]

    def announce(self, name: str, where: str) -> None:
        """Say that `name`, which runs on `where`, answers; lamarck/serve/rented.py reads this in a pod's log."""
        key = f"with the key in {KEY_VARIABLE}" if self.key else "no key"
        url = f"http://{_in_url(self.host)}:{self.port}/v1"
        print(f"{name} on {where} answers at {url} ({key}); Ctrl-C stops it", flush=True)

    def from_here(self) -> str:
        """The URL, without a path, at which this machine reaches the server."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.ip, self.ip)
        return f"http://{_in_url(here)}:{self.port}"


def bind(host: str, port: int) -> Address:
    """The address is ours from here on, but nobody is let in before the model is loaded.

    Errors: LamarckError where it is taken, or where others could come in without a key.
    """
    key = required_key(host)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise LamarckError(
            f"cannot listen on {host}:{port} ({error.strerror}): give another --port or --host"
        ) from error
    return Address(host, listener, key)


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


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
