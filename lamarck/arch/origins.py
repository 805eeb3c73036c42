"""Where the blocks of a child come from, and which of a block's branches continues which."""

from dataclasses import dataclass

from lamarck.arch.genes import Block
from lamarck.arch.genome import Genome


@dataclass(frozen=True)
class Origin:
    """Where a block of the child comes from."""

    block: int
    parent: int = 0  # index among the parents
    silent: bool = False  # a copy beside its original: it reads as that does, and writes nothing yet


Origins = tuple[Origin | None, ...]  # for each block of the child; None: a new block


def same_blocks(genome: Genome) -> Origins:
    """Every block where it was."""
    return tuple(Origin(place) for place in range(len(genome.model.blocks)))


def matched_branches(old: Block, new: Block) -> dict[str, str]:
    """Branch of the new block -> branch of the old one: by name, memories by type, in the order of each."""
    pairs: dict[str, str] = {
        name: name for name in ("attn", "ssm", "ffn") if name in new.branches and name in old.branches
    }
    free = {name: gene for name, gene in old.branches.items() if name.startswith("memory")}
    for name, gene in new.branches.items():
        if name.startswith("memory"):
            found = next((each for each, theirs in free.items() if type(theirs) is type(gene)), None)
            if found is not None:
                pairs[name] = found
                del free[found]
    return pairs
