"""A campaign's approval covers its members: nothing beside them, nothing larger, all steps only of tiny founders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.commands.campaign import ceilings_of
from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_text
from lamarck.gate.allowance import approved
from lamarck.gate.approve import answer, approve
from lamarck.gate.campaign import CampaignPlan, campaign_plan, check_member, member_of
from lamarck.gate.check import Admitted, HumanAnswer, asked_of_campaign, check_gate, check_trained
from lamarck.gate.plan import Plan, PlanInputs, build_plan
from lamarck.gate.planned import plan_digest, plan_text
from lamarck.lineage.generation import CampaignStep, Generation, description_file
from tests.gate.project import G1, ME, write_curriculum

CHILD = Generation(1, "campaigns/c/a/s1")
ONCE, EACH = CampaignStep("c", "all"), CampaignStep("c", "g1")


def settings(**changes: object) -> Config:
    from tests.gate.project import config

    return config(**{"control": False, **changes})


def made_from() -> PlanInputs:
    return PlanInputs(G1.weights, None, CHILD.curriculum, None, None)


@pytest.fixture(autouse=True)
def member() -> None:
    write_text(description_file(CHILD.lineage), yaml.safe_dump({"approved_at_once": True}))
    write_curriculum(CHILD.curriculum, 5)
    write_json(CHILD.plan, made().model_dump(mode="json"))


def made(**changes: object) -> Plan:
    return build_plan(settings(**changes), CHILD, made_from())


def ask(step: CampaignStep = ONCE, own: Plan | None = None, **changes: object) -> CampaignPlan:
    """Write a campaign's plan with one member, whose settings have these changes."""
    planned = made()
    listed = member_of(settings(**changes), CHILD, planned.strategy.digest, planned.suite.digest, own)
    plan = campaign_plan(step, "Small.", "0" * 64, (listed,))
    write_text(step.plan, plan_text(plan))
    return plan


def say_yes(plan: CampaignPlan, step: CampaignStep = ONCE) -> None:
    answer(asked_of_campaign(step, plan), plan_digest(plan), step.file, step.approval, ME, "", None)


def check(config: Config | None = None, child: Generation = CHILD, step: CampaignStep = ONCE) -> Admitted:
    given = HumanAnswer(child.approval, step.plan)
    return check_gate(config or settings(), child, child.plan, given, made_from(), None)


def refusal(*arguments: Any) -> str:
    with pytest.raises(LamarckError) as error:
        check(*arguments)
    return str(error.value)


def test_a_member_is_admitted_under_its_campaigns_approval() -> None:
    assert Path("approvals/campaigns/c.all.ok") == CHILD.approval
    assert "is not approved" in refusal()
    plan = ask()
    say_yes(plan)
    assert plan.device_seconds == settings().budget.device_seconds
    assert check().plan == made()
    assert approved(check(), CHILD).device_seconds == settings().budget.device_seconds
    assert check_trained(CHILD).plan == plan_digest(plan)


def bigger() -> Config:
    return _replanned(budget={"device_seconds": 1e6})


def _replanned(**changes: object) -> Config:
    write_json(CHILD.plan, made(**changes).model_dump(mode="json"))
    return settings(**changes)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (bigger, "device_seconds"),
        (lambda: _replanned(budget={"device_seconds": 120, "evaluating_seconds": 9}), "evaluating_seconds"),
        (lambda: _replanned(budget={"device_seconds": 120, "writing_seconds": 9}), "writing_seconds"),
        (lambda: _replanned(seed=7), "seed"),
        (lambda: _replanned(recipe=settings().recipe.model_dump() | {"rank": 3}), "recipe"),
        (lambda: settings(engine={"kind": "hf", "batch_size": 7}), "engine"),
        (lambda: settings(founder=settings().founder.model_dump() | {"steps": 7}), "founder"),
    ],
)
def test_what_does_not_follow_from_the_approved_member_is_refused(change: Callable[[], Config], differs: str) -> None:
    """The member's own plan is right in itself each time: without this comparison all of them would train."""
    say_yes(ask())
    assert f"the {differs} of {CHILD.name} is not what was approved" in refusal(change())


def test_nobody_joins_an_approved_campaign() -> None:
    other = Generation(1, "campaigns/c/b/s1")
    say_yes(ask())
    write_text(description_file(other.lineage), yaml.safe_dump({"approved_at_once": True}))
    write_json(other.plan, build_plan(settings(), other, made_from()).model_dump(mode="json"))
    assert "not among the trainings" in refusal(settings(), other)


def test_a_plan_that_was_swapped_after_the_answer_is_refused() -> None:
    say_yes(ask())
    ask(budget={"device_seconds": 1e6})
    assert "approves another plan" in refusal()
    ONCE.plan.write_text(ONCE.plan.read_text() + " ")
    assert "is not a campaign's plan" in refusal()


def test_one_approval_for_all_steps_is_for_founders_pretrained_here_alone() -> None:
    local = {"founder": {"kind": "local", "path": "somewhere"}}
    say_yes(ask(**local))
    assert "for founders alone that are pretrained here" in refusal(settings(**local))


def test_one_approval_for_all_steps_is_for_small_founders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The founder here has 17 parameters."""
    say_yes(ask())
    monkeypatch.setattr("lamarck.gate.campaign.TINY_PARAMETERS", 17)
    check()
    monkeypatch.setattr("lamarck.gate.campaign.TINY_PARAMETERS", 16)
    assert "at most 16 parameters" in refusal()


def test_step_by_step_each_members_own_plan_is_what_was_approved() -> None:
    write_text(description_file(CHILD.lineage), yaml.safe_dump({}))
    assert Path("approvals/campaigns/c.g1.ok") == CHILD.approval
    say_yes(ask(EACH, made()), EACH)
    check(step=EACH)
    write_curriculum(CHILD.curriculum, 6)
    write_json(CHILD.plan, made().model_dump(mode="json"))
    with pytest.raises(LamarckError, match="the plan of campaigns/c/a/s1/g1 is not what was approved"):
        check(step=EACH)


def test_a_step_that_names_no_plans_does_not_do_for_one_that_must() -> None:
    write_text(description_file(CHILD.lineage), yaml.safe_dump({}))
    say_yes(ask(EACH), EACH)
    with pytest.raises(LamarckError, match="does not name the plan"):
        check(step=EACH)


def test_a_members_own_approval_opens_nothing() -> None:
    with pytest.raises(LamarckError, match="covered by its campaign's approval"):
        approve(CHILD, plan_digest(made()), ME)


CEILINGS = {"device_seconds": 120, "dollars": 2, "writing_seconds": 30, "evaluating_seconds": 60}


def test_the_question_shows_every_ceiling_of_every_arm() -> None:
    plan = ask(budget=CEILINGS, control=True)
    assert (plan.writing_seconds, plan.evaluating_seconds, plan.dollars) == (60, 120, 4)
    assert ceilings_of(plan) == (
        "0.07 device-hours of training, 0.02 device-hours of writing, 0.03 device-hours of evaluating, $4.00"
    )
    assert ceilings_of(ask()) == "0.03 device-hours of training (none for writing and evaluating)"


@pytest.mark.parametrize("ceiling", CEILINGS)
@pytest.mark.parametrize("more", [61, None])
def test_a_members_own_plan_has_no_ceiling_above_the_approved_one(ceiling: str, more: float | None) -> None:
    """A cross takes its ceilings from its parents, so its configuration alone does not say what they are."""
    if (ceiling, more) == ("device_seconds", None):
        return
    within = settings(budget=CEILINGS | {ceiling: 60})
    plan = made(budget=CEILINGS | {ceiling: 60})
    parents = plan.model_copy(update={"budget": plan.budget.model_copy(update={ceiling: more})})
    approved = ask(budget=CEILINGS | {ceiling: 60})
    check_member(within, CHILD, ONCE, approved, plan, plan.strategy.digest, 1)
    with pytest.raises(LamarckError, match=f"`budget.{ceiling}`, and 60 was approved"):
        check_member(within, CHILD, ONCE, approved, parents, plan.strategy.digest, 1)


def test_a_campaign_without_those_ceilings_is_asked_what_it_was_asked_before() -> None:
    """Its approval goes on to hold."""
    assert "writing_seconds" not in plan_text(ask()) and "evaluating_seconds" not in plan_text(ask())
