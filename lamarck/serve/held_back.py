"""Signals that wait: torch is imported through C++, where an exception that a signal raises aborts the process."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Of `signals`, the first that comes meanwhile is answered at the end; one that is ignored stays so."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in signals}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
        if came:
            signal.raise_signal(came[0])
