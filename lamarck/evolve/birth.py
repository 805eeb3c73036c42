"""How candidates come about: seeds, changes of parents, crossings, or draws of the dice. Genomes alone; no torch.

Each is drawn from seeds that follow from its name, so that the same steps can be applied again to its parents' weights.
"""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lamarck.arch.crossover import cross
from lamarck.arch.genome import Genome
from lamarck.arch.operators import Step, mutate
from lamarck.arch.sample import Size, random_genome
from lamarck.errors import LamarckError
from lamarck.evolve.file import Evolving
from lamarck.evolve.ledger import How
from lamarck.evolve.static import why_too_large
from lamarck.seeds import seed_for

TRIES = 20  # of one candidate, until a genome fits the limits and is nobody's twin

Choose = Callable[[random.Random], str]  # the name of a parent


@dataclass(frozen=True)
class Birth:
    """`attempt`: of which the dice follow. `steps` lead from the (first) parent to the genome."""

    candidate: str
    how: How
    genome: Genome
    attempt: int = 0
    parents: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    refused: str = ""


def name_of(generation: int, place: int) -> str:
    return f"g{generation}-c{place:02}"


def dice(evolving: Evolving, candidate: str, attempt: int, what: str) -> random.Random:
    return random.Random(seed_for(evolving.file.seed, candidate, str(attempt), what))


def bear(
    evolving: Evolving,
    generation: int,
    place: int,
    known: Mapping[str, Genome],
    twins: Collection[str],
    choose: Choose | None,
    vocab: int,
) -> Birth:
    """One candidate. `known`: genomes by candidate; `twins`: digests of what there is already; `choose`: a parent,
    where there are any. What does not fit, or is there already, is drawn again; the last try is returned, refused."""
    candidate = name_of(generation, place)
    birth = None
    for attempt in range(TRIES):
        birth = _draw(evolving, generation, place, attempt, known, choose, vocab)
        too_large = why_too_large(birth.genome, evolving.file.limits, evolving.file.machine)
        twin = "it is the twin of an earlier one" if birth.genome.digest() in twins else None
        if too_large is None and twin is None:
            return birth
        refused = too_large or twin or ""
        birth = Birth(candidate, birth.how, birth.genome, attempt, birth.parents, birth.steps, refused)
        if birth.how == "seed":
            break
    assert birth is not None
    return birth


def _draw(
    evolving: Evolving,
    generation: int,
    place: int,
    attempt: int,
    known: Mapping[str, Genome],
    choose: Choose | None,
    vocab: int,
) -> Birth:
    candidate = name_of(generation, place)
    if generation == 0 and place < len(evolving.seeds):
        return Birth(candidate, "seed", evolving.adapted(evolving.seeds[place], vocab))
    if evolving.file.proposer == "random":
        return Birth(candidate, "random", _random(evolving, candidate, attempt, vocab), attempt)
    rng = dice(evolving, candidate, attempt, "parents")
    if choose is None:
        first = name_of(0, place % len(evolving.seeds))
    else:
        first = choose(rng)
        if rng.random() < evolving.file.evolution.crossover_prob:
            second = choose(rng)
            step = _crossed(evolving, candidate, attempt, known[first], known[second]) if second != first else None
            if step is not None:
                return Birth(candidate, "crossover", step.genome, attempt, (first, second), (step,))
    steps = mutated(evolving, candidate, attempt, known[first])
    return Birth(candidate, "mutation", steps[-1].genome, attempt, (first,), tuple(steps))


def mutated(evolving: Evolving, candidate: str, attempt: int, parent: Genome) -> list[Step]:
    """The chain of operators of a candidate. The same name and attempt give the same chain."""
    rng = dice(evolving, candidate, attempt, "operators")
    return mutate(parent, rng, evolving.file.evolution.mutation_steps, evolving.file.operators or None)


def _crossed(evolving: Evolving, candidate: str, attempt: int, first: Genome, second: Genome) -> Step | None:
    """None where they cannot cross, or the child would be one of them."""
    try:
        step = cross(first, second, dice(evolving, candidate, attempt, "cut"))
    except LamarckError:
        return None
    return None if step.genome.model in (first.model, second.model) else step


def _random(evolving: Evolving, candidate: str, attempt: int, vocab: int) -> Genome:
    """A genome of the first seed's width and rates, all else by chance."""
    first = evolving.adapted(evolving.seeds[0], vocab)
    heads = tuple(sorted({block.attn.head_dim for block in first.model.blocks if block.attn is not None})) or (16,)
    size = Size(first.model.emb.dim, vocab, 2 * len(first.model.blocks), heads, first.data.seq_len)
    drawn = random_genome(dice(evolving, candidate, attempt, "genome"), size)
    return drawn.model_copy(update={"train": first.train, "data": first.data, "evolution": first.evolution})
