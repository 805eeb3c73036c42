"""What a pod or the API says, made fit for a terminal and a log: a line may hold no command to either."""

import codecs
import re

# Escape and the other control characters of ASCII and Latin-1 (ECMA-48), but for tabs and line ends; and the characters
# that turn the direction of what follows (Unicode's bidirectional formats), which make a line read as another one.
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` without control characters. A carriage return, with which bars are drawn over themselves, ends a line."""
    return COMMANDS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class PlainText:
    """Bytes that arrive in pieces, as plain text: a character may be cut between two of them."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, piece: bytes) -> bytes:
        return plain(self._decoder.decode(piece)).encode()
