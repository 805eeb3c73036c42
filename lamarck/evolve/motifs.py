"""Which parts survivors have more often than chance would give them: the same births, from parents drawn blindly.

Neutral drift (Kimura 1968): genomes change by the same operators over as many generations, and nobody is better. What
lies outside of the drift's interval was selected, for itself or for what it stood beside.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lamarck.arch.genome import Genome
from lamarck.evolve.birth import bear
from lamarck.evolve.file import Evolving
from lamarck.evolve.pool import counts
from lamarck.seeds import seed_for

DRIFTS = 60
BOUND = 0.025  # of the drifts' shares on each side, at most, that the interval leaves out

MOTIFS: dict[str, Callable[[Genome], bool]] = {
    "experts": lambda genome: counts(genome)["moe"] > 0,
    "state space": lambda genome: counts(genome)["ssm"] > 0,
    "a memory": lambda genome: counts(genome)["memory"] > 0,
    "a recurrence": lambda genome: counts(genome)["recurrences"] > 0,
    "sparse attention": lambda genome: counts(genome)["sparsity"] > 0,
    "latent attention": lambda genome: counts(genome)["mla"] > 0,
    "linear attention": lambda genome: counts(genome)["linear"] > 0,
    "normed queries and keys": lambda genome: counts(genome)["qk_norm"] > 0,
    "a selector": lambda genome: counts(genome)["selector"] > 0,
    "gated attention": lambda genome: any(
        block.attn is not None and block.attn.gating_pos != "none" for block in genome.model.blocks
    ),
    "scales, gates or routers": lambda genome: any(
        block.extra(kind) for block in genome.model.blocks for kind in ("layer_scale", "gated", "branch_router")
    ),
}


@dataclass(frozen=True)
class Motif:
    """Shares of a population that have it: of the survivors, and the interval of the drifts'."""

    name: str
    share: float
    drift: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        if self.share > self.high:
            return "more than drift gives"
        return "less than drift gives" if self.share < self.low else "as drift gives"


def motifs(evolving: Evolving, vocab: int, found: Sequence[Genome]) -> list[Motif]:
    """Of the survivors' genomes, beside populations that drifted as long. None without survivors."""
    if not found:
        return []
    first = evolving.adapted(evolving.seeds[0], vocab)
    tests = MOTIFS | {
        "more blocks than the first seed": lambda genome: len(genome.model.blocks) > len(first.model.blocks)
    }
    drifted = [_drift(evolving, vocab, number, len(found)) for number in range(DRIFTS)]
    rows = []
    for name, has in tests.items():
        shares = sorted(sum(map(has, population)) / len(population) for population in drifted)
        edge = int(BOUND * len(shares))
        share = sum(map(has, found)) / len(found)
        rows.append(Motif(name, share, sum(shares) / len(shares), shares[edge], shares[-1 - edge]))
    return rows


def _drift(evolving: Evolving, vocab: int, number: int, size: int) -> list[Genome]:
    """A run of which nobody is trained: as many of all who were born, drawn blindly, as there are survivors."""
    file = evolving.file.model_copy(update={"seed": seed_for(evolving.file.seed, "drift", str(number))})
    blind = Evolving(evolving.name, evolving.path, evolving.content, file, evolving.seeds)
    known: dict[str, Genome] = {}
    twins: set[str] = set()
    for generation in range(file.generations):
        population = file.evolution.population
        names = list(known)
        for place in range(max(len(file.seeds), population) if generation == 0 else population):
            choose = _anyone(names) if generation else None
            birth = bear(blind, generation, place, known, twins, choose, vocab)
            if not birth.refused:
                known[birth.candidate] = birth.genome
                twins.add(birth.genome.digest())
    rng = random.Random(file.seed)
    return rng.sample(list(known.values()), min(size, len(known)))


def _anyone(names: list[str]) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(names)
