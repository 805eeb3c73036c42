"""Reading and verifying take work in proportion to a text's length. Counted in lines of Python, not in seconds."""

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from lamarck.errors import Malformed
from lamarck.skills import SKILLS, TAGGED, Problem, Skill

SHORT = 900  # characters; twice as many are still read
UNITS = ("1 ", "[", "a b ", "=> ", "9", "\n", "x, ", '{"a": 1}, ', "- ", "```\n", "let x = 1\n", "(1 + ")
# Twice the text may take twice the work, and a little: four times as much would be its square.
MOST = 2.5


def operations(work: Callable[[], object]) -> int:
    """Lines that Python runs, of whatever module."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(Malformed):
            work()
    finally:
        sys.settrace(before)
    return count


def growth(read: Callable[[str], object], unit: str) -> float:
    once, twice = (unit * (length // len(unit)) for length in (SHORT, 2 * SHORT))
    read(once)  # what is made at the first use is made
    least = 200  # below that a loop more or less is most of it
    return operations(lambda: read(twice)) / max(least, operations(lambda: read(once)))


def quietly(read: Callable[[str], object]) -> Callable[[str], object]:
    def quiet(text: str) -> None:
        with suppress(Malformed):
            read(text)

    return quiet


@pytest.mark.parametrize("skill", SKILLS.values(), ids=list(SKILLS))
def test_twice_the_text_is_twice_the_work(skill: Skill) -> None:
    easiest = skill.difficulties[0]
    problem = skill.sample(random.Random(7), easiest)
    readers: list[Callable[[str], object]] = [
        lambda text: skill.difficulty(problem.prompt + text),
        lambda text: skill.parse(skill.ask(easiest), text),
        lambda text: skill.parse(skill.ask(easiest), f"{problem.prompt} {problem.completion} {text}"),
    ]
    if skill.name in TAGGED:  # others may need the sandbox for it
        readers.append(lambda text: skill.verify(Problem(problem.prompt, f"{problem.completion} {text}")))
        readers.append(lambda text: skill.verify(Problem(text, problem.completion)))
    for read in readers:
        for unit in UNITS:
            assert growth(quietly(read), unit) < MOST, unit


def test_a_reader_that_compares_everything_with_everything_is_noticed() -> None:
    def duplicates(text: str) -> int:
        found = 0
        for one in text.split():
            for other in text.split():
                found += one == other
        return found

    assert growth(duplicates, "1 ") > MOST
