"""What of a model's text counts as its answer. Light."""

import re

THINK, END_OF_THINKING = "<think>", "</think>"
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)


def answer_of(text: str) -> str:
    """The text after the model's reasoning. Reasoning that never ends is followed by no answer: an empty one.

    A chat template may have written the opening tag into the prompt, so a closing tag alone ends reasoning too.
    """
    _, closed, answer = text.rpartition(END_OF_THINKING)
    if closed:
        return answer.strip()
    return "" if THINK in text else text.strip()


def code_of(answer: str) -> str:
    """The last fenced block of an answer, which is where a model that corrects itself ends; without one, all of it."""
    blocks = _FENCE.findall(answer)
    return str(blocks[-1][1]) if blocks else answer
