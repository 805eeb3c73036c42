"""The plan of a step of a campaign: many trainings that one human's answer covers, each by what decides it. Light.

A member is trained only where its own plan, made anew at the gate, follows from the member of that name in the plan
that was approved. Members may be left out; none can be added, and none can grow.
"""

from pathlib import Path

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import digest_value, read_regular
from lamarck.gate.plan import AnyChildsPlan, PlanPart
from lamarck.gate.planned import Planned, differing_fields, parse_plan, plan_digest
from lamarck.lineage.generation import ALL_STEPS, CAMPAIGNS, CampaignStep, Generation

# The largest founder of a campaign that one approval may cover from its first step to its last.
TINY_PARAMETERS = 5_000_000


class PlannedMember(PlanPart):
    """One training, control arm included. All but numbers and names are digests; device-seconds and dollars are each
    arm's ceilings. `plan` is its own plan, where that was there when the human was asked. `strategy` is that of its
    curriculum, or the crossing of its parents."""

    generation: str
    founder: str
    strategy: str
    recipe: str
    engine: str
    suite: str
    machine: str
    seed: int
    control: bool
    device_seconds: float
    dollars: float | None
    plan: str | None


class CampaignPlan(Planned):
    """What a human is asked: `file` is the digest of the campaign's file, `device_seconds` the sum of all ceilings."""

    campaign: str
    step: str
    description: str
    file: str
    members: tuple[PlannedMember, ...]
    trainings: int
    device_seconds: float
    dollars: float | None


def member_of(
    config: Config, child: Generation, strategy: str, suite: str, plan: AnyChildsPlan | None
) -> PlannedMember:
    """`config`: its lineage's own; `strategy` and `suite` are digests."""
    return PlannedMember(
        generation=child.name,
        founder=config.founder.digest(),
        strategy=strategy,
        recipe=config.recipe.digest(),
        engine=config.engine.digest(),
        suite=suite,
        machine=digest_value(list(config.machines.train.place)),
        seed=config.seed,
        control=config.control,
        device_seconds=config.budget.of(child.number),
        dollars=config.budget.dollars,
        plan=plan_digest(plan) if plan else None,
    )


def campaign_plan(step: CampaignStep, description: str, file: str, members: tuple[PlannedMember, ...]) -> CampaignPlan:
    arms = [1 + member.control for member in members]
    dollars = [member.dollars for member in members]
    return CampaignPlan(
        campaign=step.campaign,
        step=step.step,
        description=description,
        file=file,
        members=members,
        trainings=sum(arms),
        device_seconds=sum(count * member.device_seconds for count, member in zip(arms, members, strict=True)),
        dollars=None
        if None in dollars
        else sum(count * each for count, each in zip(arms, dollars, strict=True) if each is not None),
    )


def read_campaign_plan(path: Path) -> CampaignPlan:
    """Read once. Errors: LamarckError for anything but a plan as it is written here."""
    refusal = f"{path} is not a campaign's plan as `lamarck` writes it: delete it and run the campaign again"
    return parse_plan(CampaignPlan, read_regular(path), refusal)


def listed_in(plan: CampaignPlan, child: Generation) -> PlannedMember:
    """Errors: LamarckError where this generation is not among the trainings of the step."""
    for member in plan.members:
        if member.generation == child.name:
            return member
    raise LamarckError(f"{child.name} is not among the trainings of {CAMPAIGNS}/{plan.campaign}.{plan.step}")


def check_member(
    config: Config,
    child: Generation,
    step: CampaignStep,
    approved: CampaignPlan,
    made: AnyChildsPlan,
    strategy: str,
    parameters: int,
) -> None:
    """Does `made`, the plan of `child` as it was just made anew, follow from the step that was approved?

    `strategy`: the digest in it of what stands for that in a `PlannedMember`; `parameters`: of the founder.

    Errors: LamarckError that names what differs, or that this generation is not among the step's trainings.
    """
    if (approved.campaign, approved.step) != (step.campaign, step.step):
        raise LamarckError(f"{step.plan} is the plan of {approved.campaign}.{approved.step}, not of {step.name}")
    listed = listed_in(approved, child)
    now = member_of(config, child, strategy, made.suite.digest, made if listed.plan else None)
    if differing := differing_fields(listed, now):
        raise LamarckError(
            f"the {', '.join(differing)} of {child.name} is not what was approved for {step.name}: restore it, or run "
            "the campaign again, which asks for another approval"
        )
    if made.budget.device_seconds > listed.device_seconds:
        raise LamarckError(
            f"{child.name} would have {made.budget.device_seconds:g} device-seconds, more than the "
            f"{listed.device_seconds:g} approved for {step.name}: lower its parents', or run the campaign again"
        )
    if step.step != ALL_STEPS and listed.plan is None:
        raise LamarckError(f"{step.plan} does not name the plan of {child.name}: run the campaign again")
    if step.step == ALL_STEPS and not (config.founder.kind == "tiny" and parameters <= TINY_PARAMETERS):
        raise LamarckError(
            f"one approval for all steps is given for founders alone that are pretrained here and have at most "
            f"{TINY_PARAMETERS:,} parameters: {child.name} needs one for each step"
        )
