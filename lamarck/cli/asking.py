"""What commands ask the person at the terminal."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamarck.gate.approval import Approver


def asked(question: str) -> str:
    """What the person at the terminal answers. Errors: LamarckError where there is none."""
    from lamarck.errors import LamarckError

    if not sys.stdin.isatty():
        raise LamarckError("there is nobody to ask here: give --by NAME and --digest SHORT, which is shown before")
    return input(question)


def approver_of(by: str | None, contact: str | None) -> "Approver":
    """The person who answers: as given, else as git knows them, else as they say."""
    from lamarck.gate.approval import make_approver
    from lamarck.gate.approve import default_approver

    known = default_approver()
    name = by or (known.name if known else "") or asked("Your name: ")
    return make_approver(name, contact or (known.contact if known and not by else None))
