"""Shallow rules for the skills in plain English: they know the form of an answer, and work out nothing. Light."""

import json
from collections.abc import Callable
from functools import partial

from lamarck.errors import Malformed
from lamarck.skills import PLAIN
from lamarck.skills.plain import MARK, PlainSkill
from lamarck.skills.plain_record import PlainRecord
from lamarck.skills.plain_steps import LENGTH, STEPS, PlainSteps
from lamarck.skills.plain_sums import PlainSums
from lamarck.suites.suite import ENGINEERING, SANITY

Rule = Callable[[str], str]
RECORD, TRACE, SUMS = PlainRecord(), PlainSteps(), PlainSums()


def worked_example(prompt: str) -> str:
    """What the request for a problem shows as an example, problem and answer; of a problem to be solved, the answer of
    its skill's example."""
    for skill in PLAIN:
        assert isinstance(skill, PlainSkill)
        if f"\n{skill.example.prompt}{MARK}" in prompt:
            return f"{skill.example.prompt}{MARK}{skill.example.completion}"
        if prompt.startswith(skill.head):
            return skill.example.completion
    return ""


def _parts(skill: PlainSkill, prompt: str) -> list[str]:
    """The parts of a problem; none of what is no problem of the skill."""
    try:
        return skill.read(prompt)[0]
    except Malformed:
        return []


def _fields_alike(value: Callable[[str], object], prompt: str) -> str:
    fields = [part.split(" ", 2) for part in _parts(RECORD, prompt)]
    return json.dumps({key: value(said) for key, _, said in fields}) if fields else ""


def _steps_alike(operation: Callable[[list[int]], list[int]], prompt: str) -> str:
    """Every step's name with what `operation` makes of the list before it, whatever the name says."""
    said: list[str] = []
    steps = _parts(TRACE, prompt)
    values = [int(word) for word in prompt.replace(".", " ").split() if word.isdigit()][:LENGTH] if steps else []
    for step in steps:
        values = operation(values)
        said += [step.partition(" ")[0], *map(str, values)]
    return " ".join(said)


def _last_numbers(prompt: str) -> str:
    return " ".join(part.split()[-1] for part in _parts(SUMS, prompt))


def _first_number(prompt: str) -> str:
    changes = _parts(SUMS, prompt)
    return " ".join([prompt.split()[3]] * len(changes))


def _one_way(sign: int, prompt: str) -> str:
    """As if every change had this sign."""
    changes = _parts(SUMS, prompt)
    total, said = int(prompt.split()[3]) if changes else 0, []
    for change in changes:
        total += sign * int(change.split()[-1])
        said.append(str(total))
    return " ".join(said)


# Tier -> name -> rule.
PLAIN_RULES: dict[str, dict[str, Rule]] = {
    SANITY: {
        "every change's own number": _last_numbers,
        "the first number after every change": _first_number,
        "as if everything were got": partial(_one_way, 1),
        "as if everything were lost": partial(_one_way, -1),
    },
    ENGINEERING: {
        "every step's name with the first list": partial(_steps_alike, lambda values: values),
        **{f"every step as `{name}`": partial(_steps_alike, operation) for name, operation in STEPS.items()},
        "the keys, every value as it is said": partial(_fields_alike, lambda said: said),
        "the keys, every value its first word": partial(_fields_alike, lambda said: said.split()[0]),
    },
}
