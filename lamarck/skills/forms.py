"""Forms as regular expressions, for engines that can hold a model to one while it writes. Light.

Only what every such engine understands: no look-around, no lazy quantifiers, no flags. Every repetition has an upper
end, so that a model which does not know where to stop is made to.
"""

import re
from string import Formatter

CODE = r"([^\n`]{0,120}\n){1,60}"  # the lines of a fenced block


def pattern(template: str, **parts: str) -> str:
    """`{name}` in `template` stands for one of `parts`, which are patterns; all else stands for itself."""
    return "".join(
        literal(text) + (parts[name] if name is not None else "") for text, name, _, _ in Formatter().parse(template)
    )


def literal(text: str) -> str:
    """The pattern of exactly this text. `re.escape` also escapes spaces, which not every engine takes."""
    return re.sub(r"[\\.^$*+?{}()\[\]|]", r"\\\g<0>", text)


def span(longest: int, shortest: int = 1) -> str:
    """The pattern of `shortest` to `longest` characters of one line."""
    return rf"[^\n]{{{shortest},{longest}}}"


def repeated(part: str, least: int, most: int) -> str:
    """The pattern of `least` to `most` times the pattern `part`."""
    return f"({part}){{{least},{most}}}"
