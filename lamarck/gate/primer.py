"""The gate of a primer: a training of g0, with a plan, a ceiling and an approval of its own. Light.

    python -m lamarck.gate.primer --config config/small.yaml --generation g0 --weights results/g0/unprimed \
        --curriculum results/g0/curriculum.jsonl --output results/g0/plan.json --record results/g0/plan.record.json

The plan has the form of a generation's: its parent is the founder as it came, its strategy the primer's file.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from lamarck.config import Config
from lamarck.config.primer import Primer, load_primer
from lamarck.curriculum.item import Item, parse_curriculum
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import digest_bytes, read_regular
from lamarck.gate.approval import Approval
from lamarck.gate.check import asked_of, check_approval
from lamarck.gate.cost import planned_cost
from lamarck.gate.parents_ceiling import PlannedBudget
from lamarck.gate.plan import (
    Parent,
    Plan,
    PlannedCurriculum,
    PlannedStrategy,
    PlannedSuite,
    planned_recipe,
    read_plan,
)
from lamarck.gate.planned import differing_fields, plan_digest, write_plan
from lamarck.lineage.artifacts import PRIMER_PLAN
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.digest import short, suite_digest, weights_digest
from lamarck.lineage.generation import Generation, parse_generation
from lamarck.lineage.inputs import primer_of


@dataclass(frozen=True)
class AdmittedPrimer:
    """A primer that a human allowed, as it was read and checked: nothing of this is read again, save the weights, whose
    digest `parent` is compared after they are loaded."""

    plan: Plan
    approval: Approval
    primer: Primer
    items: tuple[Item, ...]
    curriculum: str
    parent: str

    @property
    def pieces(self) -> dict[str, str]:
        """The artifacts that it is made from, as the primed founder's record lists them."""
        return {"plan": plan_digest(self.plan), "curriculum": self.curriculum, "unprimed": self.parent}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.gate.primer", description="Plan a founder's primer.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", default="g0")
    parser.add_argument("--weights", type=Path, required=True, help="the founder as it came")
    parser.add_argument("--curriculum", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    arguments = parser.parse_args()

    started = time.time()
    founder = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, founder)
    made = _propose(config, founder, arguments.weights, arguments.curriculum)[0]
    given = {"unprimed": (arguments.weights,), "curriculum": (arguments.curriculum,)}
    inputs = PRIMER_PLAN.input_digests(config, founder, given)
    write_plan(made, arguments.output, arguments.record, inputs, config.seed, started)
    print(
        f"{founder.name}: plan {short(plan_digest(made))}, a primer of {made.curriculum.items:,} items, waits for a "
        "human"
    )


def check_primer(
    config: Config, founder: Generation, plan: Path, approval: Path, weights: Path, curriculum: Path
) -> AdmittedPrimer:
    """Called immediately before the founder is primed: is this what was approved? The plan is rebuilt, not believed.

    Errors: LamarckError that names the fields that differ, or why the plan cannot be made.
    """
    approved = read_plan(plan)
    answer = check_approval(asked_of(founder.name, approved), approval, plan, curriculum)
    made, primer, items = _propose(config, founder, weights, curriculum)
    if differing := differing_fields(approved, made):
        raise LamarckError(
            f"the primer of {founder.name} is not what its files say now ({', '.join(differing)}): restore them, or "
            f"delete {plan}, run snakemake for a new plan, then read `lamarck review {founder.name}` and approve again"
        )
    return AdmittedPrimer(approved, answer, primer, items, made.curriculum.digest, made.parent.digest)


def _propose(
    config: Config, founder: Generation, weights: Path, curriculum: Path
) -> tuple[Plan, Primer, tuple[Item, ...]]:
    path = primer_of(config)
    if path is None:
        raise LamarckError(f"{founder.name} has no primer: the configuration names none in founder.primer")
    primer = load_primer(path)
    content = read_regular(curriculum)
    items = tuple(parse_curriculum(content, curriculum))
    primed = config.model_copy(update={"recipe": primer.recipe})
    plan = Plan(
        generation=founder.name,
        parent=Parent(generation=founder.name, digest=weights_digest(weights)),
        curriculum=PlannedCurriculum(digest=digest_bytes(content), items=len(items)),
        strategy=PlannedStrategy(path=str(path), digest=primer.digest()),
        recipe=planned_recipe(primed),
        suite=PlannedSuite(name=Path(config.suite).name, digest=suite_digest(Path(config.suite))),
        seed=config.seed,
        budget=PlannedBudget(
            device_seconds=primer.device_seconds, parent_device_seconds=None, dollars=config.budget.dollars
        ),
        cost=planned_cost(primed, founder, weights, items),
        control=None,
    )
    return plan, primer, items


if __name__ == "__main__":
    exit_with_sentence(main)
