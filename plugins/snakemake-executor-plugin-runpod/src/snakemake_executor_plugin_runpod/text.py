"""What a pod or the API says, made fit for a terminal and a log: a line may hold no command to either."""

import codecs
import re

REPLACEMENT = "\ufffd"
# What a reader does not see, or sees in another order than it stands: Unicode's Default_Ignorable_Code_Point and format
# characters (DerivedCoreProperties.txt, 16.0), controls, and the line ends that only YAML 1.1 knows. As in Lamarck's
# own `visible.py`: this package works without it, and a test compares the two.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def plain(text: str) -> str:
    """`text` in which what would steer a terminal, or not be seen, is made visible. A carriage return, with which bars
    are drawn over themselves, ends a line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each if _is_seen(each) else REPLACEMENT for each in text)


def _is_seen(character: str) -> bool:
    return character in "\n\t" or (character.isprintable() and not INVISIBLE.match(character))


class PlainText:
    """Bytes that arrive in pieces, as plain text: a character may be cut between two of them."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, piece: bytes) -> bytes:
        return plain(self._decoder.decode(piece)).encode()
