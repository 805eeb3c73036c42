"""The primer's training and its skills' texts in 32 and in 16 bits, on this machine's CPU: speeds, and losses.

    python -m benchmarks.small --weights results/g0/unprimed [--steps 10] [--threads 2]

Speeds are tokens per processor-second of one thread and per second of the clock: on a machine with other work only the
first can be compared. Which processor it was is printed first.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lamarck.engine import prepare_libraries

R = TypeVar("R")

TYPES = ("float32", "bfloat16")
TEXTS, NEW_TOKENS = 64, 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, default=Path("results/g0/unprimed"))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    prepare_libraries(arguments.threads)
    named = (line.partition(": ") for line in Path("/proc/cpuinfo").read_text().splitlines())
    names = {value for key, _, value in named if key.startswith("model name")}
    print(f"{platform.machine()}, {'; '.join(sorted(names))}, {arguments.threads} threads", flush=True)
    for dtype in TYPES:
        print(f"training, {dtype}: {trained(arguments.weights, dtype, arguments.steps, arguments.threads)}", flush=True)
    texts: dict[str, list[str]] = {}
    for dtype in TYPES:
        said, texts[dtype] = written(arguments.weights, dtype, arguments.threads)
        print(f"greedy texts, {dtype}: {said}", flush=True)
    alike = sum(one == other for one, other in zip(*texts.values(), strict=True))
    print(f"greedy texts alike in both types: {alike} of {TEXTS}")


def trained(weights: Path, dtype: str, steps: int, threads: int) -> str:
    import torch

    from lamarck.config.primer import load_primer
    from lamarck.curriculum.mix import as_written
    from lamarck.curriculum.primer import draw
    from lamarck.curriculum.suite_overlap import Contamination
    from lamarck.gate.allowance import Allowance
    from lamarck.models.opening import open_tokenizer
    from lamarck.train.data import Batches, exercises, tokenize
    from lamarck.train.loop import train
    from lamarck.train.model import load_trainable

    torch.set_num_threads(threads)
    primer = load_primer(Path("config/primers/small.yaml"))
    solved = [item for cell in draw(primer, Contamination([]), 0) for item in cell.kept]
    tokenizer = open_tokenizer(weights)
    own = {"dtype": dtype, "steps": steps, "max_tokens": 2048, "checkpoint_every": 10_000}
    recipe = primer.recipe.model_copy(update=own)
    items = exercises([*solved, *as_written(solved, primer.writing_share, 0)], recipe.reasoning)
    data = tokenize(items, tokenizer, recipe.max_tokens)
    batches = Batches(data.examples, recipe.batch_size, 0, tokenizer.eos_token_id)
    torch.manual_seed(0)
    model = load_trainable(weights, None, recipe, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        allowance = Allowance("a benchmark", float("inf"))
        progress, processor, clock = timed(
            lambda: train(model, batches, recipe, allowance, Path(folder), "benchmark", lambda steps: None)
        )
    losses = [row.loss for row in progress.log]
    last = statistics.mean(losses[-3:])
    return f"{speeds(progress.tokens, processor, clock)}; loss {losses[0]:.3f}, the last three steps {last:.3f}"


def written(weights: Path, dtype: str, threads: int) -> tuple[str, list[str]]:
    import random

    import torch

    from lamarck.config.engine import HFEngineConfig
    from lamarck.engine.hf import HFEngine
    from lamarck.skills import get_skill

    torch.set_num_threads(threads)
    rng = random.Random(0)
    skill = get_skill("plain_record")
    prompts = [skill.sample(rng, 4).prompt for _ in range(TEXTS)]
    engine = HFEngine(HFEngineConfig.model_validate({"dtype": dtype, "batch_size": TEXTS}), weights, None)
    engine.generate(prompts[:2], max_new_tokens=2)
    texts, processor, clock = timed(lambda: engine.generate(prompts, max_new_tokens=NEW_TOKENS))
    tokens = sum(len(row) for row in engine.tokenizer(texts)["input_ids"])
    return speeds(tokens, processor, clock), texts


def timed(work: Callable[[], R]) -> tuple[R, float, float]:
    """(result, processor-seconds, seconds)."""
    processor, clock = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - processor, time.perf_counter() - clock


def speeds(tokens: int, processor: float, clock: float) -> str:
    return f"{tokens / processor:.0f} tokens per processor-second, {tokens / clock:.0f} per second"


if __name__ == "__main__":
    main()
