"""One answer by itself gets what it would get in an evaluation."""

import os
import random
from dataclasses import replace

import pytest

from lamarck.engine.rule import RuleEngine
from lamarck.errors import LamarckError
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.one_answer import judge
from lamarck.skills import get_skill
from lamarck.suites.suite import JUDGING, Suite
from tests.suites.tasks.test_custom_code import some_task


@pytest.mark.parametrize("name", ["arithmetic_3", "list_ops_3", "json_mode_2", "teaching_json_mode_4"])
def test_the_right_answer_and_another_one(suite: Suite, name: str) -> None:
    item = suite.items[name][1]
    right = judge(suite, name, 1, f"<think>well</think>\n {item.target}")
    assert (right["task"], right["index"], right["prompt"], right["score"]) == (name, 1, item.prompt, 1)
    assert all(right.get("rungs", {}).values())
    assert judge(suite, name, 0, item.target)["score"] < 1
    assert judge(suite, name, 1, f"<think>{item.target}")["score"] == 0


def test_a_problem_that_is_new_and_one_that_is_held_out(suite: Suite) -> None:
    skill = get_skill("arithmetic")
    new = skill.sample(random.Random(5), 3)
    assert judge(suite, "writing_arithmetic_3", 0, skill.written(new.prompt, new.completion)[1])["score"] == 1
    item = suite.items["arithmetic_3"][0]
    held_out = judge(suite, "writing_arithmetic_3", 0, skill.written(item.prompt, item.target)[1])
    assert held_out["rungs"]["right"] and not held_out["rungs"]["new"]


@pytest.mark.parametrize(
    ("name", "index", "sentence"),
    [
        ("arithmetic_4", 0, "small has no task 'arithmetic_4'; it has arithmetic_"),
        ("arithmetic_3", 10**6, "--item 1000000 is not among 0 to"),
        ("arithmetic_3", -1, "--item -1 is not among 0 to"),
        ("writing_arithmetic_3", 1, "has 1 items"),
    ],
)
def test_what_is_not_there_is_named(suite: Suite, name: str, index: int, sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        judge(suite, name, index, "")


def test_where_no_sandbox_can_be_built_the_result_is_partial_and_says_why(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "defpath", "/nowhere")
    with_code = replace(suite, engineering_files=(some_task(),))
    outcome = run_engineering(with_code, RuleEngine(lambda prompt, rng: ""))
    assert "apt-get install bubblewrap" in outcome.errors["some"]
    assert "json_mode_2" in outcome.tasks and "some" not in outcome.tasks
    assert outcome.score(with_code.weights["engineering"]) is None
    with pytest.raises(LamarckError, match=r"some could not be judged: .*apt-get install bubblewrap"):
        judge(replace(with_code, scorers=suite.scorers | {"judging": JUDGING}), "some", 0, "")
