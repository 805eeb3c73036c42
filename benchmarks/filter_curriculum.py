"""The filters at size: near duplicates and overlap with a suite, over ever more items.

    python benchmarks/filter_curriculum.py [--items 1000000]

Prints seconds and memory for a quarter, half and all of the items, which are 25 random words each, against a suite of
10,000 prompts: grown linearly, each line has twice the seconds of the one before.
"""

import argparse
import random
import resource
import time
from collections.abc import Iterator

from lamarck.curriculum.near_duplicates import Near
from lamarck.curriculum.suite_overlap import Contamination

WORDS = [f"word{number}" for number in range(3000)]
LENGTH = 25
SUITE = 10_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=1_000_000)
    items = parser.parse_args().items
    contamination = Contamination(texts(SUITE, 1))
    for number in (items // 4, items // 2, items):
        started = time.perf_counter()
        near = Near()
        overlapping = similar = 0
        for text in texts(number, 2):
            overlapping += contamination.copied("math_word", text) is not None
            similar += bool(near.matches(text))
            near.add(text)
        seconds = time.perf_counter() - started
        # The peak so far, which the largest of the runs sets.
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{number:,} items: {seconds:.0f} s, {gigabytes:.1f} GiB, {similar} near, {overlapping} in the suite")


def texts(number: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    return (" ".join(rng.choices(WORDS, k=LENGTH)) for _ in range(number))


if __name__ == "__main__":
    main()
