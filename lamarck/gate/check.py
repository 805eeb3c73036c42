"""The gate: did a human approve exactly this training run? No setting and no flag opens it. Light."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lamarck.config import Config
from lamarck.config.strategy import Strategy
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.gate.approval import Approval, parse_approval, today
from lamarck.gate.campaign import CampaignPlan, check_member, listed_in, read_campaign_plan
from lamarck.gate.night import RatchetPlan, read_ratchet_plan
from lamarck.gate.plan import (
    AnyChildsPlan,
    Plan,
    PlanInputs,
    PlannedControl,
    plan_training_digest,
    propose,
    read_childs_plan,
    read_plan,
)
from lamarck.gate.planned import Planned, differing_fields, plan_digest
from lamarck.gate.search import SearchPlan, check_candidate, check_round, read_search_plan
from lamarck.gate.signature import check_signature, signature_of, signer_lists
from lamarck.lineage.digest import short
from lamarck.lineage.generation import RESULTS, SEARCHES, CampaignStep, Generation


@dataclass(frozen=True)
class GateState:
    """waiting: nobody has answered. open: approved. refused: there is an answer, and it does not hold."""

    state: Literal["waiting", "open", "refused"]
    sentence: str
    approval: Approval | None = None


def gate_state(generation: Generation, plan: Path, approval: Path) -> GateState:
    """What the plan and the approval say, without hashing what the plan covers: for `lamarck status` and the rules."""
    name = generation.planned_by.name
    if not approval.exists():
        return GateState("waiting", f"{name} waits for a human: {plan} is not approved.")
    try:
        return GateState(
            "open", f"{name} is approved.", check_approval(asked_of(name, read_childs_plan(plan)), approval)
        )
    except LamarckError as error:
        return GateState("refused", f"{error}.")


@dataclass(frozen=True)
class Asked:
    """What a human is asked: the name that the answer must carry, the plan's digest, and the device-seconds in it.

    `read` and `approve` are the commands that show it and that answer it.
    """

    name: str
    digest: str
    device_seconds: float
    read: str
    approve: str


def asked_of(name: str, plan: AnyChildsPlan) -> Asked:
    """Errors: LamarckError where the plan is another generation's."""
    if plan.generation != name:
        raise LamarckError(f"the plan of {name} is one of {plan.generation}: run snakemake for a new plan")
    return Asked(
        name, plan_digest(plan), plan.budget.device_seconds, f"lamarck review {name}", f"lamarck approve {name}"
    )


@dataclass(frozen=True)
class Whole:
    """What was asked once for a whole search, or for a ratchet's night that raises lineages: `rounds` bound them."""

    asked: Asked
    rounds: SearchPlan


def whole_of(step: CampaignStep) -> Whole | None:
    """None: the campaign is no part of anything. Read once. Errors: LamarckError for what is not such a plan."""
    if not step.search:
        return None
    if step.night is None:
        whole = read_search_plan(step.search_plan)
        return Whole(asked_of_search(whole), whole)
    night = read_ratchet_plan(step.search_plan)
    if night.raised is None:
        raise LamarckError(f"{step.search_plan} is of a night that raises no lineage: {step.name} is not approved")
    return Whole(asked_of_ratchet(night, Path(night.config)), night.raised)


def asked_of_campaign(step: CampaignStep, plan: CampaignPlan, whole: Whole | None = None) -> Asked:
    """`whole`: what it is a part of, where there is such a thing; read here when left out.

    Errors: LamarckError where it is a round that this does not allow."""
    if whole := whole or whole_of(step):
        check_round(whole.rounds, plan)
        return whole.asked
    run = f"lamarck campaign run {step.file}"
    return Asked(step.name, plan_digest(plan), plan.device_seconds, f"lamarck campaign status {step.campaign}", run)


def asked_of_search(plan: SearchPlan) -> Asked:
    name = f"{SEARCHES}/{plan.search}"
    run = f"lamarck search {plan.command} {RESULTS}/{name}/{plan.search}.yaml"
    status = f"{run} --report" if plan.command == "study" else f"lamarck search status {plan.search}"
    return Asked(name, plan_digest(plan), plan.device_seconds, status, run)


def asked_of_ratchet(plan: RatchetPlan, file: Path) -> Asked:
    run = f"lamarck ratchet run {file}"
    return Asked(plan.name, plan_digest(plan), plan.device_seconds, f"lamarck ratchet status {plan.ratchet}", run)


def check_approval(asked: Asked, path: Path, *beside: Path) -> Approval:
    """The approval at `path`, if it allows what is asked to run now. Errors: LamarckError that says why it does not."""
    approval = check_answer(asked, path, *beside)
    if approval.expires < today():
        raise LamarckError(f"{path} expired on {approval.expires}: read `{asked.read}`, then approve again")
    return approval


def check_answer(asked: Asked, path: Path, *beside: Path) -> Approval:
    """The approval at `path`, if it is a human's yes to what was asked, be it expired since.

    It is read once, and its signature is checked over the bytes that were parsed, by the lists of signers of the
    checkouts that it and the files `beside` it lie in. Errors: LamarckError that says why it is not.
    """
    if not path.exists():
        raise LamarckError(f"{asked.name} is not approved: read `{asked.read}`, then `{asked.approve}`")
    content = read_regular(path)
    approval = parse_approval(content, path, asked.approve)
    advice = f"read `{asked.read}`, then approve again"
    if approval.generation != asked.name:
        raise LamarckError(f"{path} approves {approval.generation}, not {asked.name}: {advice}")
    if approval.plan != asked.digest:
        raise LamarckError(
            f"{path} approves another plan ({short(approval.plan)}), not the present one ({short(asked.digest)}): "
            f"{advice}"
        )
    if approval.budget_device_seconds < asked.device_seconds:
        raise LamarckError(
            f"{path} allows {approval.budget_device_seconds:g} device-seconds, but the plan has a budget of "
            f"{asked.device_seconds:g}: lower the budget, or approve again"
        )
    if approval.date > today():
        raise LamarckError(f"{path} is dated {approval.date}, which is still to come (dates are in UTC): {advice}")
    if lists := signer_lists(path, *beside):
        signature = read_regular(signature_of(path)) if os.path.lexists(signature_of(path)) else None
        check_signature(content, signature, approval.approver, lists, path)
    return approval


def check_trained(generation: Generation) -> Approval:
    """The answer under which a generation that is here, or its control arm, was trained. Errors: as `check_answer`."""
    step = generation.campaign_step
    if step:
        plan = read_campaign_plan(step.plan)
        listed_in(plan, generation.planned_by)
        return check_answer(asked_of_campaign(step, plan), step.approval)
    return check_answer(asked_of(generation.planned_by.name, read_childs_plan(generation.plan)), generation.approval)


@dataclass(frozen=True)
class HumanAnswer:
    """Where a human's answer lies, and the plan that it answers where that is not the generation's own."""

    approval: Path
    campaign_plan: Path | None = None


@dataclass(frozen=True)
class Admitted:
    """A run that a human allowed, and what it is made of as it was read and checked: nothing of this is read again.

    `items` are what is trained on, `curriculum` is the digest of the very bytes that they were parsed from. `parent` is
    the digest of the model that the child starts from: weights are too large to be held here, so they are hashed, then
    loaded by path, and whoever loads them compares the digest again after that.
    """

    plan: Plan
    approval: Approval
    strategy: Strategy
    items: tuple[Item, ...]
    curriculum: str
    parent: str

    @property
    def pieces(self) -> dict[str, str]:
        """The artifacts that it is made from, as the child's record lists them."""
        return {"plan": plan_training_digest(self.plan), "curriculum": self.curriculum, "parent": self.parent}


def check_gate(
    config: Config,
    generation: Generation,
    plan: Path,
    answer: HumanAnswer,
    inputs: PlanInputs,
    parent_answer: HumanAnswer | None,
) -> Admitted:
    """Called by the trainer immediately before it trains `generation`, or a control arm: is this what was approved?

    The plan is not believed, but rebuilt: made anew from `inputs`, which are all of its inputs, the other arm's too,
    on whichever machine this runs; and compared whole, prices and speeds of config/machines.yaml included. Where those
    are known better by now, a run that is not done yet is asked about again, or goes on with the file restored. The
    ceiling is the parent's, so from g2 on its plan, `inputs.previous_plan`, must be one that a human approved, too.

    Errors: LamarckError that names the fields that differ, or why the plan cannot be made.
    """
    planned = generation.planned_by
    name = planned.name
    approved = read_plan(plan)
    own = question_of(planned, approved, answer)
    approval = check_approval(own.asked, answer.approval, plan, inputs.curriculum)
    if config.control and inputs.control is None:
        raise LamarckError(f"the plan of {name} covers its control arm, whose files are not given")
    made = propose(config, planned, inputs)
    if made.previous:
        parent = planned.parent.planned_by
        if parent_answer is None:
            raise LamarckError(f"{name} needs the approval of its parent {parent.name}, whose ceiling is its own")
        check_answer(question_of(parent, made.previous, parent_answer).asked, parent_answer.approval, plan)
    check_rebuilt(name, plan, approved, made.plan)
    if own.step and own.plan:
        made_plan = made.plan
        check_member(
            config, planned, own.step, own.plan, made_plan, made_plan.strategy.digest, made_plan.cost.parameters
        )
        if own.whole:
            check_candidate(own.whole.rounds, name, made.strategy, config)
    arm = _arm(approved, generation)
    return Admitted(
        approved, approval, made.strategy, made.items[generation.name], arm.curriculum.digest, arm.parent.digest
    )


def check_rebuilt(name: str, file: Path, approved: Planned, made: Planned) -> None:
    """Is the plan of `file`, which a human approved, the one that was just made anew? Errors: LamarckError that names
    the fields that differ."""
    if differing := differing_fields(approved, made):
        parts = dict.fromkeys(field.partition(".")[0] for field in differing)
        raise LamarckError(
            f"the {' and the '.join(parts)} of {name} {'are' if len(parts) > 1 else 'is'} not what its files say now "
            f"({', '.join(differing)}): restore them, or delete {file}, run snakemake for a new plan, then read "
            f"`lamarck review {name}` and approve again"
        )


@dataclass(frozen=True)
class Question:
    """What was asked about a generation: its own plan, a step of its campaign, or the whole that this is a part of."""

    asked: Asked
    step: CampaignStep | None = None
    plan: CampaignPlan | None = None
    whole: Whole | None = None


def question_of(planned: Generation, plan: AnyChildsPlan, answer: HumanAnswer) -> Question:
    """Errors: LamarckError where the plan of its campaign is not given, or is not a plan."""
    step = planned.campaign_step
    if step is None:
        return Question(asked_of(planned.name, plan))
    if answer.campaign_plan is None:
        raise LamarckError(f"{planned.name} is covered by {step.name}, whose plan is not given")
    if not answer.campaign_plan.exists():
        raise LamarckError(f"{step.name} is not approved: `lamarck campaign run {step.file}` asks")
    approved = read_campaign_plan(answer.campaign_plan)
    whole = whole_of(step)
    return Question(asked_of_campaign(step, approved, whole), step, approved, whole)


def _arm(plan: Plan, generation: Generation) -> Plan | PlannedControl:
    """The part of a plan that speaks of this run: the lineage's own, or its control arm's."""
    if not generation.is_control:
        return plan
    if plan.control is None:
        raise LamarckError(f"the plan of {plan.generation} has no control arm: set `control: true` and plan again")
    return plan.control
