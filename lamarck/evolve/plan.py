"""The plan of an evolution, which a human is asked about. Light but for the text, whose bytes are read and compared."""

from lamarck.campaign.ledger import processor
from lamarck.errors import LamarckError
from lamarck.evolve.file import Evolving, file_digest
from lamarck.evolve.places import Places
from lamarck.evolve.static import why_too_large
from lamarck.gate.evolution import EvolutionPlan, read_evolution_plan
from lamarck.gate.planned import differing_fields

ARMS = ("line", "scratch", "scratch at equal compute", "llama")


def make_plan(evolving: Evolving, text: str, vocab: int) -> EvolutionPlan:
    """The static rung of the seeds comes first: what cannot be built is not asked about. `text`: digest of what is
    read. Errors: LamarckError for a seed that is too large."""
    file = evolving.file
    for path, genome in zip(file.seeds, evolving.seeds, strict=True):
        if why := why_too_large(evolving.adapted(genome, vocab), file.limits, file.machine):
            raise LamarckError(f"{path} is too large: {why}")
    return EvolutionPlan(
        evolution=evolving.name,
        machine=f"{processor()}, {file.threads} threads, {file.machine.gpu}",
        file=file_digest(evolving),
        text=text,
        seeds=evolving.seed_digests,
        selection="random search" if file.proposer == "random" else file.evolution.parent_selection,
        objectives=file.evolution.pareto_objectives,
        generations=file.generations,
        candidates=max(len(file.seeds), file.evolution.population) + (file.generations - 1) * file.evolution.population,
        repeats=file.repeats,
        controls=file.controls.survivors * len(file.controls.seeds) * len(ARMS),
        short_tokens=file.evolution.rung1_tokens,
        full_tokens=file.evolution.rung2_tokens,
        largest=file.limits.parameters,
        device_seconds=file.device_seconds,
    )


def check_same(places: Places, plan: EvolutionPlan) -> None:
    """Errors: LamarckError where the run began under another plan: its ledger is of that one."""
    if not places.plan.exists():
        return
    before = read_evolution_plan(places.plan)
    if differing := differing_fields(before, plan):
        raise LamarckError(
            f"the {', '.join(differing)} of {plan.name} is not what it began with: restore it, or give the file "
            "another name, which begins anew"
        )
