"""The training run that a human is asked about: everything that decides it, by digest, and what it may cost. Light."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from lamarck.config import Config
from lamarck.config.strategy import Strategy, load_strategy
from lamarck.curriculum.item import Item, parse_curriculum
from lamarck.errors import LamarckError
from lamarck.files import digest_bytes, read_regular
from lamarck.gate.parents_ceiling import PlannedBudget, planned_budget
from lamarck.gate.planned import Planned, PlanPart, parse_plan, plan_text
from lamarck.lineage.digest import model_digest, suite_digest, training_digest
from lamarck.lineage.generation import Generation


class Parent(PlanPart):
    generation: str
    digest: str


class PlannedCurriculum(PlanPart):
    digest: str
    items: int


class PlannedStrategy(PlanPart):
    path: str
    digest: str


class PlannedRecipe(PlanPart):
    digest: str
    settings: dict[str, Any]


class PlannedSuite(PlanPart):
    name: str
    digest: str


class PlannedMachine(PlanPart):
    """Where the run is done; memory on each GPU, hours and dollars of both arms, at the prices of config/machines.yaml.

    None where lamarck.budget cannot count the founder's shape.
    """

    gpu: str
    count: int
    memory_gib: float | None
    device_hours: float | None
    dollars: float | None

    @property
    def dollars_per_hour(self) -> float | None:
        """Of a device; None where the machine costs nothing, or was not estimated."""
        return self.dollars / self.device_hours if self.dollars and self.device_hours else None


class Optimizer(PlanPart):
    """State that the optimizer will have, by formula; `clipped`: matrices that are smaller than the rank, which is
    theirs then. `state_bytes` is None where lamarck.budget cannot count the founder's shape."""

    kind: str
    state_bytes: int | None
    clipped: int


class PlannedStep(PlanPart):
    """A step that the same approval lets follow the training, and where; dollars that its ceiling allows, both arms,
    None without a ceiling."""

    gpu: str
    count: int
    dollars: float | None


class PlannedThen(PlanPart):
    """What a child does next: it is evaluated, and writes a curriculum."""

    evaluating: PlannedStep
    writing: PlannedStep


class PlannedCost(PlanPart):
    """What the run takes, counted, not timed: a plan made again elsewhere must be the same plan.

    FLOPs: 6 x parameters x tokens (Kaplan et al. 2020, arXiv:2001.08361), tokens estimated by words.
    """

    steps: int
    examples: int
    longest_words: int
    parameters: int
    flops: float
    machine: PlannedMachine
    # Where it is not AdamW for an adapter: a plan from before there was a choice keeps its digest.
    optimizer: Optimizer | None = Field(None, exclude_if=lambda value: value is None)
    # Where it is not done on this machine, which costs nothing.
    then: PlannedThen | None = Field(None, exclude_if=lambda value: value is None)


class PlannedControl(PlanPart):
    """The control arm's run, which the same approval covers."""

    parent: Parent
    curriculum: PlannedCurriculum


class Plan(Planned):
    generation: str
    parent: Parent
    curriculum: PlannedCurriculum
    strategy: PlannedStrategy
    recipe: PlannedRecipe
    suite: PlannedSuite
    seed: int
    budget: PlannedBudget
    cost: PlannedCost
    control: PlannedControl | None


class CrossPlan(Planned):
    """A child of two parents: no curriculum and no optimizer step; its adapter is made of theirs as `crossing` says.

    The budget is the lesser of the parents'. `control`: the plain average of both, which the same approval covers.
    """

    generation: str
    parents: tuple[Parent, Parent]
    crossing: PlannedRecipe
    control: PlannedRecipe | None
    suite: PlannedSuite
    seed: int
    budget: PlannedBudget


AnyChildsPlan = Plan | CrossPlan


@dataclass(frozen=True)
class ControlInputs:
    """The files of the control arm's run."""

    parent_change: Path | None
    curriculum: Path


@dataclass(frozen=True)
class PlanInputs:
    """The files that a plan is made from: `parent_change` and `previous_plan`, the parent's, from g2 on."""

    weights: Path
    parent_change: Path | None
    curriculum: Path
    previous_plan: Path | None
    control: ControlInputs | None


@dataclass(frozen=True)
class ProposedPlan:
    """A plan, and what it was made from as it was read: every file once, and parsed from the bytes that were hashed.

    `items`: those of each arm's curriculum, by the name of the generation that would be trained on them. `previous`:
    the parent's plan, from g2 on.
    """

    plan: Plan
    strategy: Strategy
    items: dict[str, tuple[Item, ...]]
    previous: AnyChildsPlan | None


def build_plan(config: Config, generation: Generation, inputs: PlanInputs) -> Plan:
    """The plan of `generation`, from files alone: the same files give the same plan. Errors: as `propose`."""
    return propose(config, generation, inputs).plan


def propose(config: Config, generation: Generation, inputs: PlanInputs) -> ProposedPlan:
    """Read what a plan of `generation` is made from, and make it.

    Errors: LamarckError for a broken curriculum, a budget above the parent's, a suite that is not the parent's or is an
    exam, or when what was trained of the parent, or its plan, is not given: without them it would pass for a founder,
    which has no ceiling.
    """
    # Estimates and every skill, which whoever only reads a plan does without.
    from lamarck.gate.cost import planned_cost
    from lamarck.suites.suite import is_exam

    weights = inputs.weights
    previous = read_childs_plan(inputs.previous_plan) if inputs.previous_plan else None
    _check_previous(generation, previous)
    suite = suite_digest(Path(config.suite))
    if is_exam(Path(config.suite)):
        raise LamarckError(
            f"{config.suite} is an exam, and what has guided a lineage can no longer examine it: set `suite` to another"
        )
    if previous and previous.suite.digest != suite:
        raise LamarckError(
            f"the suite {config.suite} changed since {previous.generation} was planned: scores could not be compared. "
            "Restore it, or start a new lineage with the new suite"
        )
    curriculum, items = _read_curriculum(inputs.curriculum)
    read = {generation.name: items}
    arm = None
    if inputs.control:
        control, read[generation.control.name] = _read_curriculum(inputs.control.curriculum)
        arm = PlannedControl(
            parent=parent_of_plan(generation.control.parent, weights, inputs.control.parent_change), curriculum=control
        )
    strategy_file = config.strategy_of(generation.number)
    strategy = load_strategy(strategy_file)
    plan = Plan(
        generation=generation.name,
        parent=parent_of_plan(generation.parent, weights, inputs.parent_change),
        curriculum=curriculum,
        strategy=PlannedStrategy(path=str(strategy_file), digest=strategy.digest()),
        recipe=planned_recipe(config),
        suite=PlannedSuite(name=Path(config.suite).name, digest=suite),
        seed=config.seed,
        budget=planned_budget(config, generation, previous.budget if previous else None),
        cost=planned_cost(config, generation, weights, items),
        control=arm,
    )
    return ProposedPlan(plan, strategy, read, previous)


def _check_previous(generation: Generation, previous: AnyChildsPlan | None) -> None:
    """The ceiling is the parent's own: neither no plan nor another lineage's may stand in for it."""
    expected = generation.parent.planned_by.name if generation.parent.number else None
    given = previous.generation if previous else None
    if given == expected:
        return
    if expected is None:
        raise LamarckError(f"the parent of {generation.name} is the founder, which has no plan: omit --previous-plan")
    raise LamarckError(f"{generation.name} needs the plan of its parent {expected}, not {given}: give --previous-plan")


def parent_of_plan(generation: Generation, weights: Path, change: Path | None) -> Parent:
    """Errors: LamarckError where what was trained is missing or too much: the digest would be another generation's."""
    if generation.number and change is None:
        raise LamarckError(f"{generation.name} is not the founder alone: give what was trained, --parent-change")
    if change is not None and not generation.number:
        raise LamarckError(f"{generation.name} is the founder, of which nothing was trained: omit --parent-change")
    return Parent(generation=generation.name, digest=model_digest(weights, change))


def _read_curriculum(path: Path) -> tuple[PlannedCurriculum, tuple[Item, ...]]:
    content = read_regular(path)
    items = tuple(parse_curriculum(content, path))
    if not items:
        raise LamarckError(f"{path} has no items: there is nothing to train on")
    return PlannedCurriculum(digest=digest_bytes(content), items=len(items)), items


def planned_recipe(config: Config) -> PlannedRecipe:
    return PlannedRecipe(digest=config.recipe.digest(), settings=config.recipe.decisive_settings())


def read_plan(path: Path) -> Plan:
    """Errors: LamarckError where it is not a regular file, or no plan as it is written here."""
    refusal = f"{path} is not a plan as `lamarck` writes it: delete it and run snakemake again"
    return parse_plan(Plan, read_regular(path), refusal)


def read_childs_plan(path: Path) -> AnyChildsPlan:
    """The plan of a child, of one parent or of two. Errors: as `read_plan`; where there is none, what makes it."""
    if not path.exists():
        raise LamarckError(f"{path} does not exist: run `snakemake`, which works up to the next plan")
    content = read_regular(path)
    refusal = f"{path} is not a plan as `lamarck` writes it: delete it and run snakemake again"
    return parse_plan(CrossPlan, content, refusal) if _is_of_cross(content) else parse_plan(Plan, content, refusal)


def _is_of_cross(content: bytes) -> bool:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and "crossing" in said


def plan_training_digest(plan: AnyChildsPlan) -> str:
    """What the record of a child names: `training_digest` of the plan's file."""
    return training_digest(plan_text(plan).encode())
