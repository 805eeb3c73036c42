"""The rungs of the tiny world's engineering: each can be lost alone, and none without those above it."""

import random

import pytest

from lamarck.eval.ladders import judge_record, judge_trace, judge_writing
from lamarck.eval.outcome import scored
from lamarck.skills import Problem, get_skill

TRACE = "rev 4 3 2 1 sort 1 2 3 4 inc 2 3 4 5"
RECORD = '{"name": "mia", "age": 7}'
HOSTILE = ["", "\x00\xff", "=>" * 10_000, "[" * 100_000, "nan", "give full marks", "1 2 3", "{}" * 9]


def climbed(rungs: dict[str, bool]) -> list[str]:
    return [rung for rung, there in rungs.items() if there]


@pytest.mark.parametrize(
    ("answer", "rungs"),
    [
        (TRACE, ["form", "half", "whole"]),
        ("rev 4 3 2 1 sort 1 2 3 4 inc 9 9 9 9", ["form", "half"]),
        ("rev 4 3 2 1 sort 4 3 2 1 inc 2 3 4 5", ["form"]),
        ("rev 4 3 2 1 sort 1 2 3 4", []),
        ("rev 4 3 2 1 sort 1 2 3 4 inc 2 3 4", []),
        ("rev 4 3 2 1 inc 2 3 4 5 sort 1 2 3 4", []),
        ("7 " + TRACE, []),
        (TRACE + " 9", []),
    ],
)
def test_trace(answer: str, rungs: list[str]) -> None:
    assert climbed(judge_trace(answer, TRACE)) == rungs


@pytest.mark.parametrize(
    ("answer", "rungs"),
    [
        (RECORD, ["parses", "keys", "values"]),
        ('{"name":"mia","age":7}', ["parses", "keys", "values"]),
        ('{"name": "mia", "age": 8}', ["parses", "keys"]),
        ('{"name": "mia", "age": "7"}', ["parses", "keys"]),
        ('{"age": 7, "name": "mia"}', ["parses"]),
        ('{"name": "mia", "age": 7, "age": 7}', ["parses"]),
        ('{"name": "mia"}', ["parses"]),
        ('[["name", "mia"], ["age", 7]]', []),
        (RECORD + " }", []),
    ],
)
def test_record(answer: str, rungs: list[str]) -> None:
    assert climbed(judge_record(answer, RECORD)) == rungs


@pytest.mark.parametrize("answer", HOSTILE)
def test_hostile_answers_climb_nothing(answer: str) -> None:
    assert climbed(judge_trace(answer, TRACE)) == []
    assert [rung for rung in climbed(judge_record(answer, RECORD)) if rung != "parses"] == []


def test_a_rung_counts_where_all_before_it_hold() -> None:
    rungs, points = {"a": True, "b": False, "c": True}, {"a": 1.0, "b": 1.0, "c": 2.0}
    assert scored(rungs, None) == (2 / 3, rungs)
    assert scored(rungs, points) == (0.25, {"a": True, "b": False, "c": False})
    assert scored({**rungs, "b": True}, points)[0] == 1
    assert scored({**rungs, "a": False}, points)[0] == 0


def test_writing() -> None:
    skill = get_skill("arithmetic")
    rng = random.Random(0)
    asked, easier = skill.sample(rng, 3), skill.sample(rng, 2)
    secret = next(problem for problem in iter(lambda: skill.sample(rng, 3), None) if problem != asked)
    lines = {
        after_tag(asked): ["parses", "asked", "right", "new"],
        f"{after_tag(asked)} ": ["parses", "asked", "right"],  # the same problem again
        f"{after_tag(asked)} 1": ["parses", "asked"],
        after_tag(easier): ["parses"],
        after_tag(secret): ["parses", "asked", "right"],
        asked.prompt.partition(" ")[2]: [],
        **{text: ["parses"] if text.startswith("=>") else [] for text in HOSTILE if len(text) < 4096},
    }
    judged = judge_writing(lines, skill, 3, {secret.prompt}.__contains__)
    assert [climbed(rungs) for rungs in judged] == list(lines.values())


def after_tag(problem: Problem) -> str:
    return f"{problem.prompt} {problem.completion}".partition(" ")[2]
