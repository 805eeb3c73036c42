"""Text from a file or the net as characters on a screen: shown, never interpreted, and none of it unseen. Light."""

import re

REPLACEMENT = "\ufffd"
# What a line end and a tab are where a text is shown on one line. A terminal without these letters gets \\n and \\t.
ON_ONE_LINE = str.maketrans({"\n": "⏎", "\t": "⇥"})
# What a reader does not see, or sees in another order than it stands: Unicode's Default_Ignorable_Code_Point and format
# characters (DerivedCoreProperties.txt, 16.0), controls, and the line ends that only YAML 1.1 knows.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def visible(text: str, longest: int) -> str:
    """`text` on one line, its line ends as ⏎: what would steer a terminal is made visible, and what is longer than
    `longest` is cut."""
    return visible_text(text[:longest]).translate(ON_ONE_LINE) + ("…" if len(text) > longest else "")


def visible_lines(text: str, longest: int, most: int) -> list[str]:
    """The same line by line: at most `most` lines, each cut at `longest`; a last one says how many more there are."""
    lines = text.split("\n")
    more = [f"… {len(lines) - most} more lines"] if len(lines) > most else []
    return [visible(line, longest) for line in lines[:most]] + more


def visible_text(text: str) -> str:
    """`text` with its line ends and tabs; what else would steer a terminal, or not be seen, is made visible."""
    if text.isascii() and text.isprintable():
        return text  # nearly always
    return "".join(each if _is_seen(each) else REPLACEMENT for each in text)


def _is_seen(character: str) -> bool:
    return character in "\n\t" or (character.isprintable() and not INVISIBLE.match(character))
