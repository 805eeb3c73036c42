"""The form of every skill in English: what its generator writes has it, and what cannot be read has not."""

import random
import re

import pytest

from lamarck.skills import IN_ENGLISH, TAGGED
from lamarck.skills.base import SkillInEnglish
from lamarck.skills.forms import literal, pattern, repeated, span

CELLS = [(skill, difficulty) for skill in IN_ENGLISH for difficulty in skill.difficulties]


def written(skill: SkillInEnglish, difficulty: int) -> list[str]:
    rng = random.Random(f"{skill.name}{difficulty}")
    problems = [skill.sample(rng, difficulty) for _ in range(30)]
    return [skill.written(problem.prompt, problem.completion)[1] for problem in problems]


@pytest.mark.parametrize(("skill", "difficulty"), CELLS, ids=lambda value: getattr(value, "name", str(value)))
def test_what_is_right_has_the_form(skill: SkillInEnglish, difficulty: int) -> None:
    form = re.compile(skill.form(difficulty))
    for text in written(skill, difficulty):
        assert form.fullmatch(text)
        assert not form.fullmatch(f"Sure!\n\n{text}")
        assert not form.fullmatch(f"{text}\n\nI hope that this helps.")
        assert not form.fullmatch(text[: len(text) // 2])


@pytest.mark.parametrize("skill", IN_ENGLISH, ids=lambda skill: skill.name)
def test_the_example_in_the_request_has_the_form(skill: SkillInEnglish) -> None:
    """Of the first difficulty, which is the example's own."""
    request = skill.ask(1)
    assert re.match(skill.form(1), request[request.index(skill.head) :])


@pytest.mark.parametrize("skill", IN_ENGLISH, ids=lambda skill: skill.name)
def test_what_has_the_form_can_be_read(skill: SkillInEnglish) -> None:
    """Whatever its words are: those that the form does not give are made of other letters."""
    rng = random.Random(0)
    form = re.compile(skill.form(1))
    for text in written(skill, 1):
        words = [word for word in re.findall("[a-z]{4,}", text) if word not in skill.form(1)]
        for word in words:
            other = text.replace(word, "".join(rng.sample(word, len(word))))
            assert form.fullmatch(other)
            assert skill.parse(skill.ask(1), other).completion


def test_the_tiny_worlds_skills_leave_the_form_free() -> None:
    assert {skill.form(1) for skill in TAGGED.values()} == {None}


def test_a_pattern_stands_for_its_text_alone() -> None:
    form = pattern("{{a}} (b) {c}|{d}$", c=span(2), d=repeated("x", 1, 2))
    assert re.fullmatch(form, "{a} (b) 12|xx$")
    assert not re.fullmatch(form, "{a} b 12|xx$")
    assert not re.fullmatch(form, "{a} (b) 123|xx$")
    assert re.fullmatch(literal(".^$*+?{}()[]|\\ `-"), ".^$*+?{}()[]|\\ `-")
