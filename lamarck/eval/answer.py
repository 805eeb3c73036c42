"""What of a model's text counts as its answer. Light."""

import re

from lamarck.chat import END_OF_THINKING, THINK

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)


def without_reasoning(text: str) -> str:
    """What follows the model's reasoning; text without any is left as it is, to the last space.

    Reasoning that never ends is followed by no answer: an empty one. A closing tag alone ends reasoning too.
    """
    _, closed, answer = text.rpartition(END_OF_THINKING)
    if closed:
        return answer.lstrip()
    return "" if THINK in text else text


def answer_of(text: str) -> str:
    """The answer in a model's text, without its reasoning and the white space around it."""
    return without_reasoning(text).strip()


def code_of(answer: str) -> str:
    """The last fenced block of an answer, which is where a model that corrects itself ends; without one, all of it."""
    blocks = _FENCE.findall(answer)
    return str(blocks[-1][1]) if blocks else answer
