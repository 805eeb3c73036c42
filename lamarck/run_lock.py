"""One run at a time: a lock that dies with its holder, so that a killed run never needs unlocking by hand."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lamarck.errors import LamarckError

OWN_CHECKOUT = "run in a checkout of your own; `lamarck status` and `verify` write nothing"

_held: dict[Path, TextIO] = {}


def take_lock(path: Path, sentence: str) -> None:
    """Hold `path` until this process ends. Errors: LamarckError with `sentence` and the holder when it is taken, or
    where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise LamarckError(f"cannot write {path} ({error.strerror}): {OWN_CHECKOUT}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise LamarckError(f"{sentence} (process {file.read().strip()}): wait for it, or stop it") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    _held[path] = file


@contextmanager
def holding(path: Path, sentence: str) -> Iterator[None]:
    """Hold `path` for as long as the block lasts. Errors: as `take_lock`."""
    take_lock(path, sentence)
    try:
        yield
    finally:
        _held.pop(path).close()


def check_writable(directory: Path) -> None:
    """Errors: LamarckError where nothing can be written into it, or into the one that it would be made in."""
    at = directory if directory.exists() else directory.parent
    if not os.access(at, os.W_OK):
        raise LamarckError(f"{at.absolute()} cannot be written, and Snakemake always writes there: {OWN_CHECKOUT}")


RUN = Path(".lamarck/run.lock")
ANOTHER_RUN = "another run is already advancing the lineages of this checkout"


def take_run_lock() -> None:
    """The lock of a whole pipeline run in this checkout."""
    take_lock(RUN, ANOTHER_RUN)


def check_no_run() -> None:
    """Errors: as `take_lock`, where a run is under way."""
    with holding(RUN, ANOTHER_RUN):
        pass
