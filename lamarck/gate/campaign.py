"""The plan of a step of a campaign: many trainings that one human's answer covers, each by what decides it. Light.

A member is trained only where its own plan, made anew at the gate, follows from the member of that name in the plan
that was approved. Members may be left out; none can be added, and none can grow.
"""

from pathlib import Path

from pydantic import Field

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import digest_value, read_regular
from lamarck.gate.plan import AnyChildsPlan
from lamarck.gate.planned import Planned, PlanPart, differing_fields, parse_plan, plan_digest
from lamarck.lineage.digest import NOT_OF_TRAINING
from lamarck.lineage.generation import ALL_STEPS, CAMPAIGNS, CampaignStep, Generation

CEILINGS = ("device_seconds", "dollars", *NOT_OF_TRAINING)

# The largest founder of a campaign that one approval may cover from its first step to its last.
TINY_PARAMETERS = 5_000_000


class PlannedMember(PlanPart):
    """One training, control arm included. All but numbers and names are digests; device-seconds and dollars are each
    arm's ceilings, as are the device-seconds of the curriculum that it writes and of its evaluation. `plan` is its own
    plan, where that was there when the human was asked. `strategy` is that of its curriculum, or the crossing of its
    parents."""

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
    # Where there are such ceilings: the plan of a campaign that has none stays the same plan.
    writing_seconds: float | None = Field(None, exclude_if=lambda value: value is None)
    evaluating_seconds: float | None = Field(None, exclude_if=lambda value: value is None)


class CampaignPlan(Planned):
    """What a human is asked: `file` is the digest of the campaign's file; `device_seconds`, of training, and the other
    ceilings are sums over all trainings, None where one of them has no such ceiling."""

    campaign: str
    step: str
    description: str
    file: str
    members: tuple[PlannedMember, ...]
    trainings: int
    device_seconds: float
    dollars: float | None
    # Where there are such ceilings: the plan of a campaign that has none stays the same plan.
    writing_seconds: float | None = Field(None, exclude_if=lambda value: value is None)
    evaluating_seconds: float | None = Field(None, exclude_if=lambda value: value is None)


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
        writing_seconds=config.budget.writing_seconds,
        evaluating_seconds=config.budget.evaluating_seconds,
    )


def campaign_plan(step: CampaignStep, description: str, file: str, members: tuple[PlannedMember, ...]) -> CampaignPlan:
    def total(ceiling: str) -> float | None:
        given = [getattr(member, ceiling) for member in members]
        return None if None in given else sum((1 + member.control) * getattr(member, ceiling) for member in members)

    return CampaignPlan(
        campaign=step.campaign,
        step=step.step,
        description=description,
        file=file,
        members=members,
        trainings=sum(1 + member.control for member in members),
        **{ceiling: total(ceiling) for ceiling in CEILINGS},
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
    for ceiling in CEILINGS:
        own, most = getattr(made.budget, ceiling), getattr(listed, ceiling)
        if most is not None and (own is None or own > most):
            raise LamarckError(
                f"{child.name} would have {'no ceiling' if own is None else f'a ceiling of {own:g}'} in "
                f"`budget.{ceiling}`, and {most:g} was approved for {step.name}: lower its parents', or run the "
                "campaign again"
            )
    if step.step != ALL_STEPS and listed.plan is None:
        raise LamarckError(f"{step.plan} does not name the plan of {child.name}: run the campaign again")
    if step.step == ALL_STEPS and not (config.founder.kind == "tiny" and parameters <= TINY_PARAMETERS):
        raise LamarckError(
            f"one approval for all steps is given for founders alone that are pretrained here and have at most "
            f"{TINY_PARAMETERS:,} parameters: {child.name} needs one for each step"
        )
