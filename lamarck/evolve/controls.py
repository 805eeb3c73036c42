"""What survivors are compared with: a plain Llama of as many parameters, and how arms differ over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from lamarck.arch.costs import cost
from lamarck.arch.genome import Genome, check_genome
from lamarck.campaign.t_interval import t_interval
from lamarck.evolve.ledger import Arm, Compared


def plain_llama(genome: Genome) -> Genome:
    """A Llama of the same width and number of blocks, with as wide a network as gives as many parameters; fewer blocks
    where even the narrowest has more."""
    dim, wanted = genome.model.emb.dim, cost(genome, 1).parameters
    head_dim = next(size for size in (64, 32, 16, 8, 4, 2, 1) if dim % size == 0 and (dim // size >= 2 or size == 1))
    for layers in range(len(genome.model.blocks), 0, -1):
        narrow = cost(_llama(genome, layers, dim // head_dim, head_dim, 1), 1).parameters
        each = 3 * dim * layers  # parameters of one more hidden unit in every block
        hidden = 1 + round((wanted - narrow) / each)
        if hidden >= 1 or layers == 1:
            return _llama(genome, layers, dim // head_dim, head_dim, max(1, hidden))
    raise AssertionError("one layer always returns")


def _llama(genome: Genome, layers: int, heads: int, head_dim: int, hidden: int) -> Genome:
    block = {
        "attn": {"kind": "MHA", "heads": heads, "head_dim": head_dim, "rope": "standard"},
        "ffn": {"type": "dense", "hidden": hidden, "activation": "swiglu"},
    }
    emb = genome.model.emb.model_dump()
    model = {"name": "plain-llama", "emb": emb, "head": genome.model.head.model_dump(), "blocks": [block] * layers}
    whole = genome.model_dump()
    return check_genome({**whole, "model": model}, "a plain Llama")


@dataclass(frozen=True)
class Difference:
    """Bits per byte of the survivor's line less those of an arm, seed by seed; below 0 the line is better."""

    arm: Arm
    values: tuple[float, ...]
    low: float | None
    high: float | None

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    @property
    def verdict(self) -> str:
        if self.low is None or self.high is None:
            return "too few seeds to tell"
        return "better" if self.high < 0 else "worse" if self.low > 0 else "no difference shown"


def differences(rows: Sequence[Compared], candidate: str) -> list[Difference]:
    """Of the survivor's line to each other arm, over the seeds that both have; t intervals of the mean."""
    own = {
        row.seed: row.scores.bits_per_byte
        for row in rows
        if row.candidate == candidate and row.arm == "line" and row.scores
    }
    found = []
    for arm in ("scratch", "scratch at equal compute", "llama"):
        theirs = {
            row.seed: row.scores.bits_per_byte
            for row in rows
            if row.candidate == candidate and row.arm == arm and row.scores
        }
        values = tuple(own[seed] - theirs[seed] for seed in own if seed in theirs)
        if values:
            found.append(Difference(arm, values, *t_interval(values)))
    return found
