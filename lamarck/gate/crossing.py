"""The gate of a child of two parents: its plan, from files alone, and the check before the two are crossed. Light.

    python -m lamarck.gate.crossing --config config/default.yaml --generation cross/g3 \
        --weights results/g0/weights --change results/g2/adapter --parent-plan results/g2/plan.json \
        --other-weights results/g0/weights --other-change results/other/g2/adapter \
        --other-parent-plan results/other/g2/plan.json --output results/cross/g3/plan.json \
        --record results/cross/g3/plan.record.json
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from lamarck.config import Config
from lamarck.config.crossing import AVERAGE, Crossing
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.gate.approval import Approval
from lamarck.gate.campaign import check_member
from lamarck.gate.check import HumanAnswer, check_answer, check_approval, check_rebuilt, question_of
from lamarck.gate.parents_ceiling import lesser_budget
from lamarck.gate.plan import (
    AnyChildsPlan,
    CrossPlan,
    PlannedRecipe,
    PlannedSuite,
    parent_of_plan,
    plan_training_digest,
    read_childs_plan,
)
from lamarck.gate.planned import plan_digest, write_plan
from lamarck.lineage.artifacts import CROSS_PLAN
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.digest import short, suite_digest, weights_digest
from lamarck.lineage.generation import Generation, parse_generation
from lamarck.models.change import form_of
from lamarck.models.parameters import count_parameters


@dataclass(frozen=True)
class ParentFiles:
    """What a parent is, and the plan that it was made under."""

    weights: Path
    change: Path
    plan: Path


Parents = tuple[ParentFiles, ParentFiles]


@dataclass(frozen=True)
class AdmittedCross:
    """A cross that a human allowed. Adapters are hashed here, then read by path from a copy of the trainer's own."""

    plan: CrossPlan
    approval: Approval
    crossing: Crossing

    @property
    def pieces(self) -> dict[str, str]:
        """The artifacts that it is made from, as the child's record lists them."""
        first, other = self.plan.parents
        return {"plan": plan_training_digest(self.plan), "parent": first.digest, "other parent": other.digest}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.gate.crossing", description="Plan a child of two parents.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    add_parents(parser)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True, help="plan.record.json to write")
    arguments = parser.parse_args()

    started = time.time()
    child = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, child)
    plan = propose_cross(config, child, parents_given(arguments))
    inputs = CROSS_PLAN.input_digests(config, child, _given(arguments))
    write_plan(plan, arguments.output, arguments.record, inputs, config.seed, started)
    names = " and ".join(parent.generation for parent in plan.parents)
    print(f"{child.name}: plan {short(plan_digest(plan))}, a child of {names}, waits for a human")


def add_parents(parser: argparse.ArgumentParser) -> None:
    """The options that name a cross's parents: the same where it is planned and where the plan is made anew."""
    for prefix, whose in (("", "the first parent's"), ("other-", "the second parent's")):
        parser.add_argument(f"--{prefix}weights", type=Path, required=True, help=f"{whose} founder")
        parser.add_argument(f"--{prefix}change", type=Path, required=True, help=f"{whose} adapter")
        parser.add_argument(f"--{prefix}parent-plan", type=Path, required=True, help=f"{whose} plan")


def parents_given(arguments: argparse.Namespace) -> Parents:
    return (
        ParentFiles(arguments.weights, arguments.change, arguments.parent_plan),
        ParentFiles(arguments.other_weights, arguments.other_change, arguments.other_parent_plan),
    )


def _given(arguments: argparse.Namespace) -> dict[str, tuple[Path, ...]]:
    """The files of the command line, as the table of artifacts names them."""
    first, other = parents_given(arguments)
    return {
        "weights": (first.weights,),
        "change": (first.change,),
        "previous_plan": (first.plan,),
        "other_weights": (other.weights,),
        "other_change": (other.change,),
        "other_plan": (other.plan,),
    }


def propose_cross(config: Config, child: Generation, files: Parents) -> CrossPlan:
    """The plan of `child`, from files alone: the same files give the same plan.

    Errors: LamarckError where the parents are not two children of one founder, trained as adapters and scored on one
    suite, or where there is no such way to cross them.
    """
    from lamarck.merge.crossing import check_crossing  # with torch: not before a trainer has read its own plan

    check_parents(child)
    crossing = child.crossing
    check_crossing(crossing)
    suite = PlannedSuite(name=Path(config.suite).name, digest=suite_digest(Path(config.suite)))
    founder = weights_digest(files[0].weights)
    plans = []
    for parent, given in zip(child.parents, files, strict=True):
        plans.append(_plan_of(parent, given))
        if weights_digest(given.weights) != founder:
            raise LamarckError(
                f"{child.parent.name} and {parent.name} are children of different founders, and what was trained of "
                "one means nothing to the other: cross children of one founder"
            )
        if (form := form_of(given.change)) != "adapter":
            raise LamarckError(
                f"{parent.name} was trained as {form}, and adapters alone are crossed: found a lineage on a merge of "
                "whole models instead (`founder: {kind: merge}`)"
            )
        if plans[-1].suite.digest != suite.digest:
            raise LamarckError(
                f"{parent.name} was planned with the suite {plans[-1].suite.name}, and {child.name} with "
                f"{suite.name}, or another state of it: their scores could not be compared; cross generations that "
                "one suite scored"
            )
    return CrossPlan(
        generation=child.name,
        parents=(
            parent_of_plan(child.parents[0], files[0].weights, files[0].change),
            parent_of_plan(child.parents[1], files[1].weights, files[1].change),
        ),
        crossing=_settings(crossing),
        control=_settings(AVERAGE) if config.control else None,
        suite=suite,
        seed=config.seed,
        budget=lesser_budget([plan.budget for plan in plans]),
    )


def check_parents(child: Generation) -> None:
    """Errors: LamarckError where its parents' names alone tell that they cannot be crossed."""
    first, other = child.parents
    if first == other:
        raise LamarckError(f"{first.name} cannot be crossed with itself: name two generations")
    for parent in child.parents:
        if not parent.number:
            raise LamarckError(
                f"{parent.name} is a founder, of which nothing was trained: founders are merged by a merge file "
                "(`founder: {kind: merge}`)"
            )
    number = 1 + max(parent.number for parent in child.parents)
    if child.number != number:
        raise LamarckError(
            f"a child of {first.name} and {other.name} is a g{number}, not a g{child.number}: name it so"
        )


def check_cross(
    config: Config,
    child: Generation,
    plan: Path,
    answer: HumanAnswer,
    files: Parents,
    parent_answers: tuple[HumanAnswer, HumanAnswer],
) -> AdmittedCross:
    """Called immediately before `child`, or its control arm, is made: is this what was approved?

    The plan is rebuilt, not believed, and compared whole. The ceiling is the lesser of the parents', so their plans
    must be ones that a human approved, too.

    Errors: LamarckError that names the fields that differ, or why the plan cannot be made.
    """
    planned = child.planned_by
    approved = read_childs_plan(plan)
    if not isinstance(approved, CrossPlan):
        raise LamarckError(f"{plan} is not the plan of a child of two parents: delete it and run snakemake again")
    own = question_of(planned, approved, answer)
    approval = check_approval(own.asked, answer.approval, plan)
    made = propose_cross(config, planned, files)
    for parent, given, said in zip(planned.parents, files, parent_answers, strict=True):
        question = question_of(parent.planned_by, _plan_of(parent, given), said)
        check_answer(question.asked, said.approval, plan)
    check_rebuilt(planned.name, plan, approved, made)
    if own.step and own.plan:
        parameters = count_parameters(files[0].weights)
        check_member(config, planned, own.step, own.plan, made, made.crossing.digest, parameters)
    part = approved.control if child.is_control else approved.crossing
    if part is None:
        raise LamarckError(f"the plan of {planned.name} has no control arm: set `control: true` and plan again")
    return AdmittedCross(approved, approval, Crossing.model_validate(part.settings))


def _plan_of(parent: Generation, given: ParentFiles) -> AnyChildsPlan:
    """Errors: LamarckError where the plan is another generation's: the ceiling is the parent's own."""
    plan = read_childs_plan(given.plan)
    if plan.generation != parent.planned_by.name:
        raise LamarckError(f"{given.plan} is the plan of {plan.generation}, not of {parent.planned_by.name}")
    return plan


def _settings(crossing: Crossing) -> PlannedRecipe:
    return PlannedRecipe(digest=crossing.digest(), settings=crossing.decisive_settings())


if __name__ == "__main__":
    exit_with_sentence(main)
