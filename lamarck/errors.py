"""The exception that a user is meant to read, the one place that prints it, and what is wrong with a text or a name."""

import contextlib
import difflib
import signal
import sys
from collections.abc import Callable, Iterable

from lamarck.output import guard_output


class LamarckError(Exception):
    """Something the user can act on: the message is one clear sentence, and says what to do next."""


class Malformed(ValueError):
    """A model's text that is not what it was asked for; the message says why."""


class EndedBySignal(BaseException):
    """A signal asks the command to end: it passes by whoever catches what goes wrong."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"{number.name} ended it, with all that it had started: run it again to go on")
        self.number = number


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that there is not: the nearest one that there is, or all."""
    names = sorted(known)
    lowered = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return f"did you mean {lowered[near[0]]!r}?" if near else f"there are {', '.join(names) or 'none'}"


def exit_with_sentence(command: Callable[[], object]) -> None:
    """Run `command`; print a LamarckError as `error: ...` on stderr and exit 1, and so what somebody else has closed to
    whoever runs it; a signal's end of it exits 128 + its number. Other exceptions keep their trace.

    Whatever is printed from here on steers no terminal (output.py).
    """
    guard_output()
    try:
        command()
    except LamarckError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except EndedBySignal as ended:
        with contextlib.suppress(OSError):  # a hang-up may have taken the terminal
            print(f"error: {ended}", file=sys.stderr, flush=True)
        sys.exit(128 + ended.number)
    except PermissionError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename} is closed to you: ask whoever owns it for access", file=sys.stderr)
        sys.exit(1)
