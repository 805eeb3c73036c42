"""The plan of an evolution: candidates that are bred and trained, which one human's answer covers, with one ceiling.
Light.

Candidates are no generation: they lie in no lineage, unless as a founder that somebody names. So they need no approval
each; the run needs one, before anything is trained beyond the static rung, which trains nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from lamarck.files import read_regular
from lamarck.gate.check import Asked, check_approval
from lamarck.gate.planned import Planned, parse_plan, plan_digest
from lamarck.lineage.generation import APPROVALS

EVOLUTIONS = "evolve"


class EvolutionPlan(Planned):
    """What a human is asked. `file`, `text` and each of `seeds` (path of a genome) are digests. `candidates`: those
    that may be trained at most, beside `repeats` of the first seed and the trainings of the controls; `largest`:
    parameters of one at most; tokens are those of one candidate."""

    evolution: str
    machine: str
    file: str
    text: str
    seeds: dict[str, str]
    selection: str
    objectives: tuple[str, ...]
    generations: int
    candidates: int
    repeats: int
    controls: int
    short_tokens: int
    full_tokens: int
    largest: int
    device_seconds: float

    @property
    def name(self) -> str:
        return f"{EVOLUTIONS}/{self.evolution}"

    @property
    def approval(self) -> Path:
        return APPROVALS / f"{self.name}.ok"


def read_evolution_plan(path: Path) -> EvolutionPlan:
    """Read once. Errors: LamarckError for anything but a plan as it is written here."""
    refusal = f"{path} is not an evolution's plan as `lamarck` writes it: restore it, or run under another name"
    return parse_plan(EvolutionPlan, read_regular(path), refusal)


def asked_of_evolution(plan: EvolutionPlan, file: Path) -> Asked:
    run = f"lamarck evolve run {file}"
    return Asked(plan.name, plan_digest(plan), plan.device_seconds, f"lamarck evolve status {plan.evolution}", run)


@dataclass(frozen=True)
class AdmittedEvolution:
    """An evolution that a human allowed. Made by `admitted_evolution` alone."""

    plan: EvolutionPlan


def admitted_evolution(plan: EvolutionPlan, file: Path) -> AdmittedEvolution:
    """`plan` as it was just made anew: is it what a human approved? Errors: LamarckError that says why it is not."""
    check_approval(asked_of_evolution(plan, file), plan.approval)
    return AdmittedEvolution(plan)
