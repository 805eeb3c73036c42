"""What a person, or a pipe, answers on standard input: text, or one sentence that it is not. Light."""

import sys

from lamarck.errors import LamarckError


def ask(question: str) -> str:
    """What the person at the terminal answers. Errors: LamarckError where the input ends, or is not text."""
    try:
        return as_text(input(question))
    except UnicodeDecodeError:
        raise _not_text() from None
    except EOFError:
        raise LamarckError("the input ended before there was an answer: nothing was done") from None


def as_text(line: bytes | str) -> str:
    """A line of standard input. Errors: LamarckError where its bytes are not text in the terminal's encoding."""
    try:
        if isinstance(line, bytes):
            return line.decode(sys.stdin.encoding)
        line.encode()  # Python may have kept bytes that it could not read as halves of surrogate pairs
    except UnicodeError:
        raise _not_text() from None
    return line


def _not_text() -> LamarckError:
    return LamarckError(f"the input is not text in {sys.stdin.encoding}: send it so, or set PYTHONIOENCODING")
