"""Progress on a terminal; on anything else, a line now and then."""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lamarck import output

LINE_EVERY_SECONDS = 10.0
# A pipeline on a terminal sets this to the terminal's device: its jobs' own output goes through a pipe into the log.
TERMINAL_VARIABLE = "LAMARCK_TERMINAL"

Advance = Callable[[int], None]


@contextmanager
def count_up(title: str, unit: str, total: int | None = None) -> Iterator[Advance]:
    """Yield a function that is told how many more `unit` are done: a bar with rate and, where `total` is known, time
    left; lines when nobody watches. Of jobs that run side by side, one draws its bar: two would garble each other."""
    with _terminal() as terminal:
        yield from _lines(title, unit, total) if terminal is None else _bar(terminal, title, unit, total)


@contextmanager
def _terminal() -> Iterator[TextIO | None]:
    """The terminal, if there is one and no other process draws on it."""
    device = os.environ.get(TERMINAL_VARIABLE) or (os.ttyname(2) if sys.stderr.isatty() else None)
    if device is None:
        yield None
        return
    lock = Path(".lamarck/progress.lock")
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held, open(device, "w", errors=output.PLAIN_LETTERS) as terminal:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield terminal


def _bar(terminal: TextIO, title: str, unit: str, total: int | None) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{unit}, {rate(task.speed)}" if task.speed else unit)

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.console(file=terminal, force_terminal=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)


def _lines(title: str, unit: str, total: int | None) -> Iterator[Advance]:
    started = time.monotonic()
    shown = started
    done = 0

    def advance(more: int) -> None:
        nonlocal done, shown
        done += more
        if time.monotonic() - shown < LINE_EVERY_SECONDS:
            return
        shown = time.monotonic()
        speed = done / (shown - started)
        left = f", {(total - done) / speed:.0f} s left" if total and speed else ""
        print(f"{title}: {done}{f'/{total}' if total else ''} {unit}, {rate(speed)}{left}", file=sys.stderr)

    yield advance


def rate(speed: float) -> str:
    """`speed` a second, to three digits: a step of a large model takes longer than a second."""
    return f"{speed:,.0f}/s" if speed >= 100 else f"{speed:.3g}/s"
