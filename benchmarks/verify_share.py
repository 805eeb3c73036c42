"""What verifying costs of the time that a curriculum takes: parsing, judging and filtering against all.

    python benchmarks/verify_share.py [--weights results/g0/weights] [--adapter results/g1/adapter]

Runs the default strategy with the model at hand (`make demo` makes one) and prints the share.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from lamarck.config import load_config
from lamarck.config.strategy import load_strategy
from lamarck.curriculum.item import Teacher
from lamarck.curriculum.propose import Author, CurriculumInMaking
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.engine import load_engine
from lamarck.suites.suite import held_out_prompts, load_suite


class Clocked:
    """An engine that counts the seconds spent in it: all other time is ours."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.device_name = engine.device_name
        self.seconds = 0.0

    def generate(self, *arguments: Any, **options: Any) -> list[str]:
        started = time.perf_counter()
        texts: list[str] = self.engine.generate(*arguments, **options)
        self.seconds += time.perf_counter() - started
        return texts

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        scores: list[float] = self.engine.loglikelihoods(texts)
        return scores


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, default=Path("results/g0/weights"))
    parser.add_argument("--adapter", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(Path("config/default.yaml"))
    engine = Clocked(load_engine(config.engine, arguments.weights, arguments.adapter))
    contamination = Contamination(held_out_prompts(load_suite(Path(config.suite))))
    author = Author(Teacher(generation="g0", digest=""), "")
    started = time.perf_counter()
    cells = CurriculumInMaking(
        engine, load_strategy(config.strategy_of(1)), author, contamination, 0, lambda samples: None
    ).verified()
    seconds = time.perf_counter() - started
    sampled = sum(cell.sampled + cell.answered for cell in cells)
    kept = sum(len(cell.kept) for cell in cells)
    print(
        f"{seconds:.1f} s, of which {100 * (1 - engine.seconds / seconds):.1f}% verifying and filtering; "
        f"{sampled / kept:.2f} sampled per item kept"
    )


if __name__ == "__main__":
    main()
