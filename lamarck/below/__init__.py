"""Programs that a command starts and that start others, such as snakemake: they end with it, however that ends. Light.

Between the command and the program stands an overseer (overseer.py), which learns from the end of its standard input
that the command is gone: done, or ended by a signal, SIGKILL among them.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from lamarck.errors import EndedBySignal

OVERSEER = Path(__file__).with_name("overseer.py")
PATIENCE = 60.0  # seconds that a program has to end what it has started, and to tidy up: to give pods back, say
ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def below(command: Sequence[str], patience: float = PATIENCE, **options: Any) -> "Iterator[subprocess.Popen[str]]":
    """Run `command`; when the block is left, or this process ends, it is told to end and so is all that it has started.

    It reads nothing, and gets no signal from the terminal: Ctrl-C and Ctrl-Z reach it through this process. `options`
    are Popen's. The process that is given is the overseer's: its exit code is the program's, 128 + n where signal n
    ended that. In the main thread alone. Errors: EndedBySignal where SIGTERM or SIGHUP comes meanwhile.
    """
    # Made here, and not by Popen: signals may come while that is still at work.
    heard, held = os.pipe()
    with (
        open(held, "wb", buffering=0) as line,
        _answering({**dict.fromkeys(ENDING, _end), signal.SIGTSTP: lambda number, frame: _pause(line)}),
    ):
        with open(heard, "rb") as end:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(OVERSEER), f"{patience:g}", *command],
                stdin=end,
                text=True,
                start_new_session=True,
                **options,
            )
        try:
            yield process
        finally:
            line.close()
            process.communicate()  # takes what it still says: a full pipe would hold it up


@contextmanager
def _answering(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Of these signals, those that nobody ignores (nohup) or answers yet."""
    heard = [number for number in handlers if signal.getsignal(number) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    raise EndedBySignal(signal.Signals(number))


def _pause(line: io.FileIO) -> None:
    """Ctrl-Z: what is below stands still for as long as this process does."""
    for word in (b"s", b"c"):
        with suppress(OSError, ValueError):  # it has ended, or is told to already
            line.write(word)
        if word == b"s":
            os.kill(os.getpid(), signal.SIGSTOP)
