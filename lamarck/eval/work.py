"""Which of the problems that a model writes count, from version 3 of the scoring on: those that take work. Light.

A problem is right and new as soon as its form is filled, and forms can be filled by whoever knows nothing else. So a
problem is taken apart, and counts where

- two thirds of its parts take work: a step that makes a list which was not there before, of three digits at least; a
  change by more than one to a number that was not there before, neither to nor from 0 or 10; any field of a record;
- its parts are of three kinds, or where they are fewer than four of more kinds than half their number: steps, changes,
  shapes of a value, and of a value that is not written as it is said the value;
- it is not one more of a form, its kinds in their order, that was written more than twice as often as all would be,
  were each written as often as the others. Fields in English have no order.

Numbers of parts are rounded up. Skills of which it is not known here what takes work are judged without.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lamarck.engine import Engine
from lamarck.engine.answer import answer_of
from lamarck.skills import Malformed, Problem, get_skill
from lamarck.skills import list_ops as lists
from lamarck.skills import plain_steps as steps
from lamarck.skills.json_mode import DIGITS, JsonMode
from lamarck.skills.plain_record import FLAGS, LISTS, NUMBERS, SAID, WORDS, PlainRecord
from lamarck.skills.plain_sums import PlainSums
from lamarck.suites.sections import WORK_ASKED, WritingTask
from lamarck.suites.suite import Suite

FEWEST_KINDS = 3
FEWEST_DIGITS = 3  # of a list, that are not the same
SHAPED = WORDS.keys() | LISTS.keys()  # whose words stand in the answer
ROUND = {0, 10}  # to add to these is to write the digit down


@dataclass(frozen=True)
class ProblemPart:
    kind: str
    works: bool


def _of_list(
    values: list[int], names: Sequence[str], operations: Mapping[str, Callable[..., list[int]]]
) -> list[ProblemPart]:
    seen, parts = [values], []
    for name in names:
        values = operations[name](values)
        parts.append(ProblemPart(name, values not in seen and len(set(values)) >= FEWEST_DIGITS))
        seen.append(values)
    return parts


def _of_sum(total: int, changes: Sequence[int]) -> list[ProblemPart]:
    seen, parts = {total}, []
    for change in changes:
        before, total = total, total + change
        works = abs(change) > 1 and total not in seen and not ROUND & {before, total}
        parts.append(ProblemPart(f"{change:+}", works))
        seen.add(total)
    return parts


def _arithmetic(prompt: str) -> list[ProblemPart]:
    first, *rest = prompt.split()[1:-1]
    return _of_sum(int(first), [int(sign + digit) for sign, digit in zip(rest[::2], rest[1::2], strict=True)])


def _list_ops(prompt: str) -> list[ProblemPart]:
    words = prompt.split()[1:-1]
    return _of_list([int(word) for word in words[: lists.LENGTH]], words[lists.LENGTH + 1 :], lists.OPERATIONS)


def _json_mode(prompt: str) -> list[ProblemPart]:
    values = [field.split()[1:] for field in JsonMode().fields(prompt.split()[1:-1])]
    return [
        ProblemPart("list" if len(value) > 1 else "digit" if value[0] in DIGITS else "word", True) for value in values
    ]


def _plain_sums(prompt: str) -> list[ProblemPart]:
    changes = [change.split() for change in PlainSums().read(prompt)[0]]
    return _of_sum(int(prompt.split()[3]), [int(number) * (1 if verb == "gets" else -1) for verb, number in changes])


def _plain_steps(prompt: str) -> list[ProblemPart]:
    digits = prompt.removeprefix(f"{steps.HEAD} ").partition(".")[0].split()
    return _of_list([int(digit) for digit in digits], steps.PlainSteps().read(prompt)[0], steps.STEPS)


def _plain_record(prompt: str) -> list[ProblemPart]:
    fields = [field.split(" ", 2) for field in PlainRecord().read(prompt)[0]]
    shapes = [type(SAID[key][said]).__name__ if key in SHAPED else said for key, _, said in fields]
    return [ProblemPart(shape, True) for shape in sorted(shapes)]


# Skill -> how many kinds of part it has, and what a problem of it is made of.
SKILLS: dict[str, tuple[int, Callable[[str], list[ProblemPart]]]] = {
    "arithmetic": (18, _arithmetic),
    "list_ops": (len(lists.OPERATIONS), _list_ops),
    "json_mode": (3, _json_mode),
    "plain_sums": (18, _plain_sums),
    "plain_steps": (len(steps.STEPS), _plain_steps),
    "plain_record": (2 + len(NUMBERS) + len(FLAGS), _plain_record),
}


def form_of(skill: str, prompt: str) -> tuple[str, ...]:
    """The kinds of a sound problem's parts, in order. Errors: KeyError for a skill that is not among SKILLS."""
    return tuple(part.kind for part in SKILLS[skill][1](prompt))


def takes_work(skill: str, prompt: str) -> bool:
    """Whether a sound problem of one of SKILLS does."""
    parts = SKILLS[skill][1](prompt)
    kinds = len({part.kind for part in parts})
    return 3 * sum(part.works for part in parts) >= 2 * len(parts) and kinds >= min(FEWEST_KINDS, len(parts) // 2 + 1)


def most_of_a_form(skill: str, difficulty: int, asked: int) -> int:
    """How many problems of one form count where `asked` of this difficulty were asked for."""
    return int(1 + 2 * asked // SKILLS[skill][0] ** difficulty)


class WorkAsked:
    """`engine`, with what it writes in answer to a suite's requests for problems withheld from whoever judges it where
    it does not count: the text, quoted behind the reason, is then no problem. What is asked in one call counts
    together."""

    def __init__(self, engine: Engine, suite: Suite) -> None:
        self._engine = engine
        teaching = suite.tiers.teaching
        tasks = [task for task in suite.tiers.engineering.tasks if isinstance(task, WritingTask)]
        cells = [(task.skill, task.difficulty) for task in tasks] + [(teaching.skill, each) for each in teaching.writes]
        self._cells = {get_skill(name).ask(each): (name, each) for name, each in cells if name in SKILLS}

    @property
    def device_name(self) -> str:
        return self._engine.device_name

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        return self._engine.loglikelihoods(texts)

    def generate(self, prompts: list[str], **settings: Any) -> list[str]:
        texts = self._engine.generate(prompts, **settings)
        asked = Counter(self._cells[prompt] for prompt in prompts if prompt in self._cells)
        written: Counter[tuple[str, ...]] = Counter()
        refused: dict[str, str | None] = {}  # problem -> why, which holds for its repeats
        found = []
        for prompt, text in zip(prompts, texts, strict=True):
            skill = self._cells[prompt][0] if prompt in self._cells else ""
            problem = _sound(skill, prompt, text) if skill else None
            if problem and problem.prompt not in refused:
                refused[problem.prompt] = _refused(skill, problem, asked, written)
            why = refused[problem.prompt] if problem else None
            found.append(text if why is None else f"withheld, {why}: {json.dumps(text)}")
        return found


def _sound(name: str, asked: str, text: str) -> Problem | None:
    """The problem in a text whose answer is right; there is nothing to withhold of any other."""
    skill = get_skill(name)
    try:
        problem = skill.parse(asked, answer_of(text))
    except Malformed:
        return None
    return problem if skill.verify(problem).verified else None


def _refused(
    skill: str, problem: Problem, asked: Mapping[tuple[str, int], int], written: Counter[tuple[str, ...]]
) -> str | None:
    if not takes_work(skill, problem.prompt):
        return "it takes no work"
    form = form_of(skill, problem.prompt)
    written[skill, *form] += 1
    enough = most_of_a_form(skill, len(form), asked.get((skill, len(form)), 0))
    return "its form was written often enough" if written[skill, *form] > enough else None


def judged_engine(suite: Suite, engine: Engine) -> Engine:
    """`engine` as the suite's version of the scoring judges it."""
    return WorkAsked(engine, suite) if suite.scorers.get("lamarck") == WORK_ASKED else engine
