"""The gate, against real files: it opens for exactly what a human approved, and for nothing else."""

import json
import re
from pathlib import Path

import pytest
import yaml

from lamarck.config import Config
from lamarck.curriculum.item import read_curriculum
from lamarck.errors import LamarckError
from lamarck.files import digest_file, write_json
from lamarck.gate.approve import approve
from lamarck.gate.check import HumanAnswer, check_gate, gate_state
from lamarck.gate.plan import Plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.digest import short
from tests.gate.project import (
    G1,
    G2,
    ME,
    append_line_end,
    check,
    config,
    flip_last_byte,
    inputs,
    make_plan,
    refusal,
    say_yes,
    write_plan,
)


def test_an_approved_plan_opens_the_gate_for_both_arms() -> None:
    say_yes()
    for arm in (G1, G1.control):
        admitted = check(config(), arm)
        assert admitted.plan == make_plan(config())
        assert admitted.curriculum == digest_file(arm.curriculum)
        assert list(admitted.items) == list(read_curriculum(arm.curriculum))
    assert gate_state(G1, G1.plan, G1.approval).state == "open"


def test_without_an_approval_nothing_is_trained() -> None:
    assert "g1 is not approved" in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "waiting"


def test_a_plan_of_another_generation_in_this_ones_place_is_refused() -> None:
    say_yes()
    approval = G1.approval.with_name("g2.ok")
    G1.approval.rename(approval)
    with pytest.raises(LamarckError, match="the plan of g2 is one of g1"):
        check_gate(config(), G2, G1.plan, HumanAnswer(approval), inputs(config()), None)


def test_a_plan_that_shows_other_settings_than_it_means_is_refused() -> None:
    plan = json.loads(G1.plan.read_text())
    plan["recipe"]["settings"]["steps"] = 1
    write_json(G1.plan, plan)
    approve(G1, plan_digest(Plan.model_validate(plan)), ME)
    assert "(recipe.settings.steps)" in refusal()


def test_a_curriculum_that_is_gone_is_refused_in_one_sentence() -> None:
    say_yes()
    G1.curriculum.unlink()
    assert "curriculum.jsonl does not exist" in refusal()


def test_a_plan_has_no_control_arm_unless_it_says_so() -> None:
    settings = config(control=False)
    write_plan(settings)
    approve(G1, short(plan_digest(make_plan(settings))), ME)
    assert check(settings).plan.control is None
    assert "has no control arm" in refusal(settings, G1.control)


def _easier_strategy() -> Config:
    strategy = yaml.safe_load(Path("strategy.yaml").read_text())
    Path("strategy.yaml").write_text(yaml.safe_dump(strategy | {"size": strategy["size"] + 1}))
    return config()


# The field of the plan that is no longer what its files say, and what makes it so.
CHANGES = {
    "curriculum.digest": append_line_end(G1.curriculum),
    "parent.digest": flip_last_byte(G1.weights / "model.safetensors"),
    "suite.digest": append_line_end(Path("suite/suite.yaml")),
    "strategy.digest": _easier_strategy,
    "recipe.settings.steps": lambda: config(recipe={"steps": 301}),
    "seed": lambda: config(seed=7),
    "cost.machine.gpu": lambda: config(machines={"train": {"gpu": "H100 SXM"}}),
    "cost.machine.device_hours": lambda: config(machines={"train": {"tokens_per_second": 10}}),
    "budget.dollars": lambda: config(budget={"device_seconds": 120, "dollars": 5}),
}


@pytest.mark.parametrize("field", CHANGES)
def test_one_change_closes_the_gate_for_both_arms(field: str) -> None:
    say_yes()
    settings = CHANGES[field]()
    for arm in (G1, G1.control):
        sentence = refusal(settings, arm)
        assert "not what its files say now" in sentence
        assert re.search(rf"[(,] ?{re.escape(field)}[,)]", sentence), sentence


def test_the_control_arms_curriculum_is_covered_too() -> None:
    say_yes()
    append_line_end(G1.control.curriculum)()
    for arm in (G1, G1.control):
        assert "the control of g1 is not what its files say now (control.curriculum.digest)" in refusal(generation=arm)
