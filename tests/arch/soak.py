"""Many random genomes through a whole life: `python -m tests.arch.soak --genomes 200`. Exit 1 where one fails."""

import argparse
import random
import sys
import tempfile
import traceback
from pathlib import Path

from lamarck.arch.genome import Genome
from lamarck.arch.sample import Size, random_genome
from tests.arch.checks import check_whole_life
from tests.arch.kinds import DIM, VOCAB

SIZE = Size(dim=DIM, vocab=VOCAB, most_blocks=3)


def loud_genome(seed: int) -> Genome:
    """A random genome, with weights large enough that a mistake shows in the logits."""
    genome = random_genome(random.Random(seed), SIZE)
    emb = genome.model.emb.model_copy(update={"init_std": 0.3})
    return genome.model_copy(update={"model": genome.model.model_copy(update={"emb": emb})})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genomes", type=int, default=200)
    parser.add_argument("--first", type=int, default=1000, help="seed of the first")
    options = parser.parse_args()
    failed = []
    for seed in range(options.first, options.first + options.genomes):
        try:
            with tempfile.TemporaryDirectory() as directory:
                check_whole_life(loud_genome(seed), Path(directory))
        except Exception:
            traceback.print_exc()
            failed.append(seed)
    print(f"{options.genomes - len(failed)} of {options.genomes} random genomes live; failed seeds: {failed}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
