"""A plan is not believed: the gate makes it anew from its inputs, and every field must be what comes out."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.gate.approve import approve
from lamarck.gate.check import Admitted, HumanAnswer, check_gate
from lamarck.gate.plan import Plan, PlanInputs, build_plan
from lamarck.gate.planned import plan_digest
from tests.gate.project import G1, G2, ME, config, inputs, refusal, say_yes, write_plan


def leaves(value: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The place of every value that is not itself a mapping."""
    for key, inner in value.items():
        yield from leaves(inner, (*place, key)) if isinstance(inner, dict) else [(*place, key)]


def other(value: Any) -> Any:
    """A false value of the same type."""
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    if isinstance(value, list):
        return [*value, "one_more"]
    return not value if isinstance(value, bool) else (value or 0) + 1


def forged(plan: dict[str, Any], place: tuple[str, ...]) -> Plan:
    made = copy.deepcopy(plan)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = other(inner[place[-1]])
    return Plan.model_validate(made)


def what_digests_show(plan: Plan) -> tuple[object, ...]:
    """What a gate compares that hashes the inputs of a plan, and believes what it says of them."""
    digests = tuple(part.digest for part in (plan.parent, plan.curriculum, plan.strategy, plan.suite))
    ceilings = (plan.budget.device_seconds, plan.budget.dollars)
    return (*digests, plan.recipe, plan.seed, *ceilings, plan.cost.machine.gpu, plan.cost.machine.count)


def approve_forged(plan: Plan) -> None:
    write_json(G1.plan, plan.model_dump(mode="json"))
    approve(G1, plan_digest(plan), ME)


def test_every_false_field_closes_the_gate_and_is_named() -> None:
    honest = json.loads(G1.plan.read_text())
    places = [place for place in leaves(honest) if place != ("generation",)]
    assert len(places) > 40
    believed = []
    for place in places:
        plan = forged(honest, place)
        approve_forged(plan)
        assert ".".join(place) in refusal(), place
        if what_digests_show(plan) == what_digests_show(Plan.model_validate(honest)):
            believed.append(".".join(place))
    assert {"cost.flops", "curriculum.items", "cost.machine.device_hours", "control.curriculum.items"} < set(believed)


def test_a_plan_that_hides_its_control_arm_is_refused() -> None:
    hidden = json.loads(G1.plan.read_text()) | {"control": None}
    approve_forged(Plan.model_validate(hidden))
    assert "the control of g1 is not what its files say now (control)" in refusal()


def test_a_trainer_without_the_control_arms_files_does_not_believe_the_plan() -> None:
    say_yes()
    alone = PlanInputs(G1.weights, None, G1.curriculum, None, None)
    with pytest.raises(LamarckError, match="covers its control arm, whose files are not given"):
        check_gate(config(), G1, G1.plan, HumanAnswer(G1.approval), alone, None)


def test_a_price_that_changed_is_asked_about_again() -> None:
    settings = config(machines={"train": {"gpu": "H100 SXM"}})
    write_plan(settings)
    approve(G1, plan_digest(Plan.model_validate(json.loads(G1.plan.read_text()))), ME)
    catalogue = Path("config/machines.yaml")
    before = catalogue.read_text()
    catalogue.write_text(before.replace("dollars: ", "dollars: 9"))
    assert "(cost.machine.dollars)" in refusal(settings)
    catalogue.write_text(before)
    check_gate(settings, G1, G1.plan, HumanAnswer(G1.approval), inputs(settings), None)


@pytest.fixture
def grandchild() -> PlanInputs:
    """g1 is approved, and g2 is planned and approved under it, neither with a control arm."""
    settings = config(control=False)
    write_plan(settings)
    approve(G1, plan_digest(build_plan(settings, G1, PlanInputs(G1.weights, None, G1.curriculum, None, None))), ME)
    G1.change.mkdir()
    (G1.change / "adapter_model.safetensors").write_bytes(b"trained")
    made = PlanInputs(G1.weights, G1.change, G1.curriculum, G1.plan, None)
    plan = build_plan(settings, G2, made)
    write_json(G2.plan, plan.model_dump(mode="json"))
    approve(G2, plan_digest(plan), ME)
    return made


def check_g2(made: PlanInputs, settings: Config | None = None, parent_approval: Path | None = G1.approval) -> Admitted:
    return check_gate(
        settings or config(control=False),
        G2,
        G2.plan,
        HumanAnswer(G2.approval),
        made,
        None if parent_approval is None else HumanAnswer(parent_approval),
    )


def forge_g2(seconds: float, parent_seconds: float) -> Config:
    """A plan of g2 with more than its parent's 120 s, approved by a person who believed it."""
    plan = json.loads(G2.plan.read_text())
    plan["budget"] |= {"device_seconds": seconds, "parent_device_seconds": parent_seconds}
    write_json(G2.plan, plan)
    approve(G2, plan_digest(Plan.model_validate(plan)), ME)
    return config(control=False, budget={"device_seconds": seconds})


def test_a_grandchild_under_its_parents_ceiling_is_admitted(grandchild: PlanInputs) -> None:
    assert check_g2(grandchild).plan.budget.parent_device_seconds == 120


@pytest.mark.parametrize("claimed", [120.0, 9999.0])
def test_a_child_with_more_than_its_parent_is_refused_at_the_gate(grandchild: PlanInputs, claimed: float) -> None:
    settings = forge_g2(9999.0, claimed)
    with pytest.raises(LamarckError, match="g2 asks for 9999 device-seconds, more than the 120 of its parent"):
        check_g2(grandchild, settings)


def test_the_parents_ceiling_is_the_one_that_a_human_approved(grandchild: PlanInputs) -> None:
    settings = forge_g2(9999.0, 9999.0)
    plan = json.loads(G1.plan.read_text())
    plan["budget"]["device_seconds"] = 9999.0
    write_json(G1.plan, plan)
    with pytest.raises(LamarckError, match=r"approvals/g1.ok approves another plan"):
        check_g2(grandchild, settings)
    with pytest.raises(LamarckError, match="g2 needs the approval of its parent g1"):
        check_g2(grandchild, settings, parent_approval=None)
    with pytest.raises(LamarckError, match="g2 needs the plan of its parent g1, not None"):
        check_g2(replace(grandchild, previous_plan=None), settings)
