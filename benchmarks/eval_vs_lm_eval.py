"""Our tier 1 against plain lm-eval with its own transformers model, on a CPU: same tasks, weights and batches.

    OMP_NUM_THREADS=1 python benchmarks/eval_vs_lm_eval.py

Each pair runs the two one after the other, model loading included, in alternating order; imports and lm-eval's cached
copy of the items are warm for both. Prints seconds, ratios, and whether the scores are equal. Exits 1 if they are not.
"""

import argparse
import logging
import os
import statistics
import sys
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # read once, when tqdm is imported below

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import load_engine
from lamarck.eval.outcome import DECIMALS
from lamarck.eval.sanity import run_sanity
from lamarck.suites.suite import CORPUS, Suite, load_suite

Scores = dict[str, float]


def ours(suite: Suite, weights: Path, batch_size: int) -> Scores:
    outcome = run_sanity(suite, load_engine(HFEngineConfig(batch_size=batch_size), weights, None))
    if outcome.errors:
        sys.exit(f"partial: {outcome.errors}")
    scores = {task: figures["score"] for task, figures in outcome.tasks.items()}
    return {**scores, CORPUS: outcome.facts["bits_per_byte"]}


def plain(suite: Suite, weights: Path, batch_size: int) -> Scores:
    """As lm-eval's guide says, from the suite's directory, to which the paths in its task files are relative."""
    with chdir(suite.path):
        manager = TaskManager(include_path="tasks", include_defaults=False)
        model = HFLM(pretrained=str(weights.absolute()), batch_size=batch_size, dtype="float32", device="cpu")
        found: Any = lm_eval.simple_evaluate(model=model, tasks=[*suite.lm_eval_tasks], task_manager=manager)
    scores = {
        task.name: round(100 * found["results"][task.name]["exact_match,none"], DECIMALS) for task in suite.sanity_tasks
    }
    return {**scores, CORPUS: round(found["results"][CORPUS]["bits_per_byte,none"], DECIMALS)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time our evaluation against plain lm-eval.")
    parser.add_argument("--weights", type=Path, default=Path("results/g0/weights"))
    parser.add_argument("--suite", type=Path, default=Path("config/suites/tiny-v3"))
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    suite, weights = load_suite(arguments.suite.absolute()), arguments.weights.absolute()
    batch_size = HFEngineConfig().batch_size
    plain(suite, weights, batch_size)  # warms the imports, and lm-eval's copy of the items
    ratios, equal = [], True
    for pair in range(arguments.pairs):
        seconds: dict[str, float] = {}
        scores: dict[str, Scores] = {}
        for run in (ours, plain) if pair % 2 == 0 else (plain, ours):
            started = time.perf_counter()
            scores[run.__name__] = run(suite, weights, batch_size)
            seconds[run.__name__] = time.perf_counter() - started
        ratios.append(seconds["plain"] / seconds["ours"])
        equal = equal and scores["ours"] == scores["plain"]
        print(f"pair {pair}: ours {seconds['ours']:.2f} s, lm-eval {seconds['plain']:.2f} s, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")
    print(f"scores {'equal' if equal else 'NOT equal'} to {DECIMALS} decimals, {len(scores['ours'])} figures")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
