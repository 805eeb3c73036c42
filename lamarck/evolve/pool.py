"""The candidates of a run as numbers: objectives, the luck in them, who survives, and the front. Light."""

import statistics
from collections.abc import Sequence

from lamarck.arch.costs import cost
from lamarck.arch.genome import Genome, Objective
from lamarck.evolve.file import Evolving
from lamarck.evolve.ledger import Born, Compared, Ledger, Timed, TrainedLine
from lamarck.evolve.scores import GenomeScores
from lamarck.evolve.selection import Entry, Niche, elites, front, survivors

LESS = frozenset({"bits_per_byte", "memory", "parameters", "tokens_to_target", "time_to_target", "instability"})
LUCK = 2 * 2**0.5  # two standard deviations of a difference, in standard deviations of one training
NEVER = float("inf")


def value_of(objective: Objective, scores: GenomeScores, timed: Timed | None, novelty: float) -> float:
    """In the objective's own unit; infinite for a target that was never reached."""
    match objective:
        case "bits_per_byte":
            return scores.bits_per_byte
        case "passkey" | "recall":
            return float(getattr(scores, objective) or 0.0)
        case "throughput":
            return timed.throughput if timed else 0.0
        case "memory" | "parameters" | "instability":
            return float(getattr(scores, objective))
        case "tokens_to_target":
            return NEVER if scores.tokens_to_target is None else float(scores.tokens_to_target)
        case "time_to_target":
            return NEVER if timed is None or timed.time_to_target is None else timed.time_to_target
        case "novelty":
            return novelty


class Pool:
    """What the ledger says so far."""

    def __init__(self, evolving: Evolving, ledger: Ledger) -> None:
        self.evolving, self.ledger = evolving, ledger
        self.objectives: tuple[Objective, ...] = evolving.file.evolution.pareto_objectives

    @property
    def weights(self) -> list[float]:
        return [self.evolving.file.weights.get(name, 1.0) for name in self.objectives]

    def full(self) -> list[tuple[Born, TrainedLine]]:
        """Candidates that were trained to the end, in the order of their births."""
        found = []
        for born in self.ledger.born():
            trained = self.ledger.trained(born.candidate, "full")
            if trained is not None and trained.scores is not None:
                found.append((born, trained))
        return found

    def values(self, born: Born, trained: TrainedLine) -> dict[Objective, float]:
        assert trained.scores is not None
        timed = self.ledger.times.get(f"{trained.rung} {born.candidate}")
        return {name: value_of(name, trained.scores, timed, born.novelty) for name in self.objectives}

    def entry(self, born: Born, trained: TrainedLine) -> Entry:
        values = self.values(born, trained)
        genome = born.read()
        simplicity = (float(cost(genome, 1).parameters), float(_parts(genome)), float(born.generation))
        signed = tuple(-value if name in LESS else value for name, value in values.items())
        return Entry(born.candidate, signed, simplicity, niche(genome))

    def entries(self) -> list[Entry]:
        return [self.entry(born, trained) for born, trained in self.full()]

    @property
    def tolerance(self) -> tuple[float, ...]:
        """What luck alone can do to each objective: from trainings of one genome that differ in their seeds."""
        repeats = [each for each in self.ledger.compared() if each.arm == "repeat" and each.scores is not None]
        return tuple(LUCK * self._deviation(name, repeats) for name in self.objectives)

    def _deviation(self, objective: Objective, repeats: Sequence[Compared]) -> float:
        """Genomes' distances have no luck; and fewer than two finite values tell nothing."""
        values = [
            value_of(objective, each.scores, self.ledger.times.get(f"repeat {each.candidate} {each.seed}"), 0.0)
            for each in repeats
            if each.scores is not None
        ]
        finite = [value for value in values if value != NEVER]
        return statistics.stdev(finite) if len(finite) > 1 else 0.0

    def survivors(self) -> list[Entry]:
        return survivors(self.entries(), self.tolerance, self.evolving.file.evolution.population)

    def front(self) -> list[Entry]:
        return front(self.entries(), self.tolerance)

    def archive(self) -> dict[Niche, Entry]:
        return elites(self.entries(), self.tolerance, self.evolving.file.evolution.archive_max_elites)

    def ancestors(self, candidate: str) -> list[Born]:
        """Everyone it descends from, in the order of their births, itself the last."""
        found: dict[str, Born] = {}

        def collect(name: str) -> None:
            born = self.ledger.birth(name)
            if born.generation > 0:  # a change of a seed inherits nothing from it
                for parent in born.parents:
                    if parent not in found:
                        collect(parent)
            found[name] = born

        collect(candidate)
        order = {born.candidate: place for place, born in enumerate(self.ledger.born())}
        return sorted(found.values(), key=lambda born: order[born.candidate])


COUNTS = ("layers", "moe", "selector", "memory", "recurrences", "mla", "ssm", "sparsity", "qk_norm", "linear")


def counts(genome: Genome) -> dict[str, int]:
    """Blocks of each kind: what the sources' archive is sorted by."""
    blocks = genome.model.blocks
    attns = [block.attn for block in blocks if block.attn is not None]
    return {
        "layers": len(blocks),
        "moe": sum(block.ffn is not None and block.ffn.type == "moe" for block in blocks),
        "selector": sum(attn.selector != "none" for attn in attns),
        "memory": sum(bool(block.memories) for block in blocks),
        "recurrences": len(genome.model.recurrences),
        "mla": sum(attn.kind == "MLA" for attn in attns),
        "ssm": sum(block.ssm is not None for block in blocks),
        "sparsity": sum(attn.sparsity != "none" for attn in attns),
        "qk_norm": sum(attn.qk_norm != "none" for attn in attns),
        "linear": sum(attn.kind == "LINEAR" for attn in attns),
    }


def niche(genome: Genome) -> tuple[int, ...]:
    return tuple(counts(genome)[name] for name in COUNTS)


def _parts(genome: Genome) -> int:
    """Branches and extras of all blocks."""
    return sum(len(block.branches) + len(block.extras) for block in genome.model.blocks) + len(genome.model.spans)
