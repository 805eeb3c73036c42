"""The one exception that a user is meant to read, and the one place that prints it."""

import sys
from collections.abc import Callable


class LamarckError(Exception):
    """Something the user can act on: the message is one clear sentence, and says what to do next."""


def exit_with_sentence(command: Callable[[], object]) -> None:
    """Run `command`; print a LamarckError as `error: ...` on stderr and exit 1. Other exceptions keep their trace."""
    try:
        command()
    except LamarckError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
