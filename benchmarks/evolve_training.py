"""Training a plain genome against transformers' Llama of its shape: same weights, batches and optimizer, pair by pair.

    python benchmarks/evolve_training.py [GENOME.yaml ...]

Prints for each genome the ratio of times (transformers / ours: above 1 we are ahead), with the spread of the pairs.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from lamarck.arch.genome import load_genome
from lamarck.arch.model import build_model
from lamarck.arch.serving import export_llama

GENOMES = ("config/evolve/llama-128.yaml", "config/evolve/llama-64.yaml")
ROWS, TOKENS = 8, 256
PAIRS, STEPS = 7, 3


def main() -> None:
    torch.set_num_threads(1)
    for path in map(Path, sys.argv[1:] or GENOMES):
        ours = build_model(load_genome(path), seed=0)
        with tempfile.TemporaryDirectory() as folder:
            export_llama(ours, Path(folder) / "llama")
            theirs = LlamaForCausalLM.from_pretrained(Path(folder) / "llama", dtype=torch.float32)
        steps = [stepper(ours), stepper(theirs)]
        first, second = (step() for step in steps)
        if abs(first - second) > 1e-4:
            raise SystemExit(f"{path}: the losses differ, {first} and {second}: not the same model")
        ratios, seconds = [], []
        for pair in range(PAIRS):
            # Each goes first every other time.
            taken = {which: timed(steps[which]) for which in ((0, 1) if pair % 2 else (1, 0))}
            ratios.append(taken[1] / taken[0])
            seconds.append(taken[0] / STEPS)
        print(
            f"{path}: transformers / ours {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"{ROWS * TOKENS / statistics.median(seconds):,.0f} tokens a second",
            flush=True,
        )


def stepper(model: torch.nn.Module) -> Callable[[], float]:
    """A training step on one batch of its own, as evolutions take it; returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95))
    ids = torch.randint(250, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    model.train()

    def step() -> float:
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def timed(step: Callable[[], float]) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
