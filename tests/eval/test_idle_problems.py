"""Problems that take no work are right, as asked and new, so a suite that asks for no more pays for them."""

import random

import pytest

from lamarck.eval.idle_problems import IDLE
from lamarck.eval.ladders import judge_writing
from lamarck.skills import PLAIN, TAGGED, get_skill


def test_every_skill_that_suites_ask_to_be_written_has_them() -> None:
    assert IDLE.keys() == {*TAGGED, *(skill.name for skill in PLAIN)}


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("difficulty", [2, 4, 6])
def test_they_hold_and_take_no_work(name: str, difficulty: int) -> None:
    rng = random.Random(0)
    texts = [IDLE[name](difficulty, rng) for _ in range(40)]
    judged = judge_writing(texts, get_skill(name), difficulty, lambda prompt: False)
    assert all(rungs["right"] for rungs in judged)
    assert sum(rungs["new"] for rungs in judged) > 15
