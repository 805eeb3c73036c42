"""What this process opens, by Python's own audit events: how often a file is read, and the moment to swap it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_watched: dict[str, Callable[[], None]] = {}


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | os.PathLike):
        before = _watched.get(os.path.abspath(arguments[0]))
        if before is not None:
            before()


sys.addaudithook(_hook)


@contextmanager
def before_opening(path: Path, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` immediately before each time that this process opens `path`."""
    _watched[os.path.abspath(path)] = action
    try:
        yield
    finally:
        del _watched[os.path.abspath(path)]


@contextmanager
def count_opens(*paths: Path) -> Iterator[dict[Path, int]]:
    """How often each of `paths` has been opened since."""
    counts = dict.fromkeys(paths, 0)

    def counting(path: Path) -> Callable[[], None]:
        def count() -> None:
            counts[path] += 1

        return count

    _watched.update({os.path.abspath(path): counting(path) for path in paths})
    try:
        yield counts
    finally:
        for path in paths:
            del _watched[os.path.abspath(path)]
