"""Reading and verifying take work in proportion to a text's length. Counted in lines of Python, not in seconds."""

import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from lamarck.errors import Malformed
from lamarck.skills import PLAIN, SKILLS, TAGGED, Problem, Skill
from lamarck.skills.base import ANSWER, SkillInEnglish

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


def growth(read: Callable[[str], object], unit: str) -> tuple[float, int]:
    """How many times the work of a text one of twice the length takes, and the work."""
    once, twice = (unit * (length // len(unit)) for length in (SHORT, 2 * SHORT))
    less, more = operations(lambda: read(once)), operations(lambda: read(twice))
    least = 200  # below that a loop more or less is most of it
    return more / max(least, less), more


class NoRoom:
    """In place of the sandbox: whatever is asked of it ends the reading, which is what is counted."""

    def __getattr__(self, name: str) -> Any:
        raise Malformed("not here")


def places(text: str) -> Iterator[Callable[[str], str]]:
    """`text` with something long in it: behind its numbers, its words, its lines, its brackets, and all of it."""
    found = [re.search(pattern, text) for pattern in ("[0-9]", "[a-z](?= )", "```python\n", "\n", "[{[(|:]")]
    for place in {match.end() for match in found if match} | {len(text)}:
        yield lambda long, place=place: text[:place] + long + text[place:]


@pytest.mark.parametrize("skill", SKILLS.values(), ids=list(SKILLS))
def test_twice_the_text_is_twice_the_work(skill: Skill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SkillInEnglish, "_sandbox", NoRoom())
    easiest = skill.difficulties[0]
    problem = skill.sample(random.Random(7), easiest)
    line = f"{problem.prompt} {problem.completion}" if skill.name in TAGGED else ""
    whole = line or f"{problem.prompt}{ANSWER}{problem.completion}"
    readers = [
        *(lambda long, put=put: skill.difficulty(put(long)) for put in places(problem.prompt)),
        *(lambda long, put=put: skill.parse(skill.ask(easiest), put(long)) for put in places(whole)),
        *(lambda long, put=put: skill.verify(Problem(put(long), problem.completion)) for put in places(problem.prompt)),
        *(lambda long, put=put: skill.verify(Problem(problem.prompt, put(long))) for put in places(problem.completion)),
    ]
    skill.difficulty(problem.prompt)  # what is made at the first use is made
    found = {(place, unit): growth(read, unit) for place, read in enumerate(readers) for unit in UNITS}
    assert max(times for times, _ in found.values()) < MOST, found
    # Lines that have few forms are refused at once where they are long.
    few = skill.name in TAGGED or skill in PLAIN
    assert few or max(work for _, work in found.values()) > SHORT / 2, "nothing of all that was read"


def test_a_reader_that_compares_everything_with_everything_is_noticed() -> None:
    def duplicates(text: str) -> int:
        found = 0
        for one in text.split():
            for other in text.split():
                found += one == other
        return found

    assert growth(duplicates, "1 ")[0] > MOST
