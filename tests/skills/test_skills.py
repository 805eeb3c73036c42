"""Every skill of the tiny world: its generator is right, and its verifier is exact and cannot be upset."""

import random

import pytest

from lamarck.errors import LamarckError
from lamarck.skills import TAGGED, Malformed, Problem, TaggedSkill, get_skill, get_tagged_skill

CELLS = [(skill, difficulty) for skill in TAGGED.values() for difficulty in skill.difficulties]
HOSTILE = [
    "",
    " ",
    "=>",
    "[" * 4000,
    "a" * 2**20,
    "\x00\x1b[2J",
    "<j1> \u2028 => {}",
    "<t1> ٣ 1 2 3 | rev => x",
    "<a1> 1 + ² => 3",
]


def problems(skill: TaggedSkill, difficulty: int, number: int = 20) -> list[Problem]:
    rng = random.Random(f"{skill.name}{difficulty}")
    return [skill.sample(rng, difficulty) for _ in range(number)]


@pytest.mark.parametrize(("skill", "difficulty"), CELLS, ids=lambda value: getattr(value, "name", str(value)))
def test_the_generator_is_right(skill: TaggedSkill, difficulty: int) -> None:
    vocabulary = {*skill.vocabulary(), "=>"}
    for problem in problems(skill, difficulty):
        line = f"{problem.prompt} {problem.completion}"
        asked, text = skill.written(problem.prompt, problem.completion)
        assert (asked, f"{asked} {text}") == (skill.ask(difficulty), line)
        assert skill.parse(asked, text) == problem
        assert skill.verify(problem).verified
        assert skill.difficulty(problem.prompt) == difficulty
        assert vocabulary.issuperset(line.split())


@pytest.mark.parametrize(("skill", "difficulty"), CELLS, ids=lambda value: getattr(value, "name", str(value)))
def test_one_changed_word_is_wrong(skill: TaggedSkill, difficulty: int) -> None:
    rng = random.Random(0)
    words = skill.vocabulary()
    for problem in problems(skill, difficulty, 10):
        answer = problem.completion.split()
        place = rng.randrange(len(answer))
        answer[place] = rng.choice([word for word in words if word != answer[place]])
        assert not skill.verify(Problem(problem.prompt, " ".join(answer))).verified
        assert not skill.verify(Problem(problem.prompt, " ".join(answer[:-1]))).verified


@pytest.mark.parametrize("skill", TAGGED.values(), ids=lambda skill: skill.name)
def test_the_tag_must_be_true(skill: TaggedSkill) -> None:
    problem = problems(skill, 2, 1)[0]
    lied = problem.prompt.replace(skill.ask(2), skill.ask(3))
    assert not skill.verify(Problem(lied, problem.completion)).verified
    with pytest.raises(Malformed):
        skill.difficulty(lied)


@pytest.mark.parametrize("skill", TAGGED.values(), ids=lambda skill: skill.name)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused_quietly(skill: TaggedSkill, text: str) -> None:
    assert not skill.verify(Problem(text, text)).verified
    try:
        parsed = skill.parse(skill.ask(1), text)
    except Malformed:
        return
    assert not skill.verify(parsed).verified


def test_the_space_of_arithmetic_is_counted_exactly() -> None:
    steps = [step for step in range(-9, 10) if step]
    totals = [first + step for first in range(10) for step in steps if 0 <= first + step <= 20]
    assert get_skill("arithmetic").space(1) == len(totals)
    assert get_skill("arithmetic").space(2) == sum(0 <= total + step <= 20 for total in totals for step in steps)


def test_an_unknown_skill_is_named() -> None:
    with pytest.raises(LamarckError, match="json_mode"):
        get_skill("json_mod")


def test_the_tiny_world_has_no_skill_in_english() -> None:
    with pytest.raises(LamarckError, match="the tiny world has no skill 'json_schema'"):
        get_tagged_skill("json_schema")
