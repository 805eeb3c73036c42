"""What of a model's text counts as its answer. Light."""

import re

from lamarck.models.chat import END_OF_THINKING, THINK

FENCE = "```"
_OPENING = re.compile(r"```[ \t]*[\w+-]*")


def without_reasoning(text: str) -> str:
    """What follows the model's reasoning; text without any is left as it is, to the last space.

    Reasoning that never ends is followed by no answer: an empty one. A closing tag alone ends reasoning too.
    """
    _, closed, answer = text.rpartition(END_OF_THINKING)
    if closed:
        return answer.lstrip()
    return "" if THINK in text else text


def reasoning_and_answer(text: str) -> tuple[str, str]:
    """(what the model thought before it answered, as far as it showed that, its answer), without white space around."""
    thought, _, _ = text.rpartition(END_OF_THINKING)
    return thought.removeprefix(THINK).strip(), answer_of(text)


def answer_of(text: str) -> str:
    """The answer in a model's text, without its reasoning and the white space around it."""
    return without_reasoning(text).strip()


def code_of(answer: str) -> str:
    """The last fenced block of an answer, which is where a model that corrects itself ends; without one, all of it.

    A fence is a line that begins with three backticks; behind those that open a block, a word may name its language.
    """
    last: str | None = None
    opened: int | None = None
    lines = answer.split("\n")
    for number, line in enumerate(lines):
        text = line.strip()
        if opened is not None and text == FENCE:
            last, opened = "".join(f"{each}\n" for each in lines[opened + 1 : number]), None
        elif opened is None and _OPENING.fullmatch(text):
            opened = number
    return answer if last is None else last
