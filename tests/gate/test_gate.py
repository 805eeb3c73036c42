"""The gate, against real files: it opens for exactly what a human approved, and for nothing else."""

import json
from pathlib import Path

import pytest
import yaml

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.gate.approve import approve
from lamarck.gate.check import check_gate, gate_state
from lamarck.gate.plan import Plan, build_plan, plan_digest
from lamarck.lineage.digest import short
from tests.gate.project import G1, G2, ME, append_line_end, check, config, flip_last_byte, refusal, say_yes


def test_an_approved_plan_opens_the_gate_for_both_arms() -> None:
    say_yes()
    assert check(config()).generation == "g1"
    assert check(config(), G1.control).control is not None
    assert gate_state(G1, G1.plan, G1.approval).state == "open"


def test_without_an_approval_nothing_is_trained() -> None:
    assert "g1 is not approved" in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "waiting"


def test_a_plan_of_another_generation_in_this_ones_place_is_refused() -> None:
    say_yes()
    approval = G1.approval.with_name("g2.ok")
    G1.approval.rename(approval)
    with pytest.raises(LamarckError, match="the plan of g2 is one of g1"):
        check_gate(config(), G2, G1.plan, approval, G1.weights, None, G1.curriculum)


def test_a_plan_that_shows_other_settings_than_it_means_is_refused() -> None:
    plan = json.loads(G1.plan.read_text())
    plan["recipe"]["settings"]["steps"] = 1
    write_json(G1.plan, plan)
    approve(G1, plan_digest(Plan.model_validate(plan)), ME)
    assert "the recipe of g1 changed" in refusal()


def test_a_curriculum_that_is_gone_is_refused_in_one_sentence() -> None:
    say_yes()
    G1.curriculum.unlink()
    assert "curriculum.jsonl does not exist" in refusal()


def test_a_plan_has_no_control_arm_unless_it_says_so() -> None:
    plan = build_plan(config(), G1, G1.weights, None, G1.curriculum, None, None)
    write_json(G1.plan, plan.model_dump(mode="json"))
    approve(G1, short(plan_digest(plan)), ME)
    assert "has no control arm" in refusal(generation=G1.control)


def _easier_strategy() -> Config:
    strategy = yaml.safe_load(Path("strategy.yaml").read_text())
    Path("strategy.yaml").write_text(yaml.safe_dump(strategy | {"size": 5000}))
    return config()


CHANGES = {
    "curriculum": append_line_end(G1.curriculum),
    "parent": flip_last_byte(G1.weights / "model.safetensors"),
    "suite": append_line_end(Path("suite/suite.yaml")),
    "strategy": _easier_strategy,
    "recipe": lambda: config(recipe={"steps": 301}),
    "seed": lambda: config(seed=7),
    "machine": lambda: config(machines={"train": {"gpu": "H100 SXM"}}),
    "budget": lambda: config(budget={"device_seconds": 120, "dollars": 5}),
}


@pytest.mark.parametrize("part", CHANGES)
def test_one_change_closes_the_gate(part: str) -> None:
    say_yes()
    settings = CHANGES[part]()
    sentence = refusal(settings)
    assert part in sentence
    assert "changed after the approval" in sentence


def test_the_control_arms_curriculum_is_covered_too() -> None:
    say_yes()
    append_line_end(G1.control.curriculum)()
    assert "the curriculum of control/g1 changed" in refusal(generation=G1.control)
