"""The primer's training and its skills' texts in 32 and in 16 bits, on this machine's CPU: speeds, and losses; and the
texts of a curriculum in 16 bits, as a primed teacher writes them.

    python -m benchmarks.small [--weights results/g0/unprimed] [--teacher results/g0/weights] [--steps 10] [--threads 2]

Speeds are tokens per processor-second of one thread and per second of the clock: on a machine with other work only the
first can be compared. Which processor it was is printed first, and last what these speeds make of `make small`.
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
BATCH = 256  # as in config/small.yaml
# Of the run whose table is in docs/evidence.md: tokens of the primer and of four trainings; texts that its teachers
# were asked for, for two curricula and the control arm, and further answers to their problems.
TRAINED = 162_452 + 173_038 + 181_584 + 170_754 + 178_298
WRITTEN, ANSWERED = 4_585 + 3_985 + 1_039, 2_599 + 2_261


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, default=Path("results/g0/unprimed"))
    parser.add_argument("--teacher", type=Path, default=Path("results/g0/weights"))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    prepare_libraries(arguments.threads)
    named = (line.partition(": ") for line in Path("/proc/cpuinfo").read_text().splitlines())
    names = {value for key, _, value in named if key.startswith("model name")}
    print(f"{platform.machine()}, {'; '.join(sorted(names))}, {arguments.threads} threads", flush=True)
    training = 0.0
    for dtype in TYPES:
        said, training = trained(arguments.weights, dtype, arguments.steps, arguments.threads)
        print(f"training, {dtype}: {said}", flush=True)
    texts: dict[str, list[str]] = {}
    for dtype in TYPES:
        said, texts[dtype] = written(arguments.weights, dtype, arguments.threads)
        print(f"greedy texts, {dtype}: {said}", flush=True)
    alike = sum(one == other for one, other in zip(*texts.values(), strict=True))
    print(f"greedy texts alike in both types: {alike} of {TEXTS}")
    writing = 0.0
    for task, texts_each in (("write", WRITTEN), ("solve", ANSWERED)):
        said, seconds = asked(arguments.teacher, task, arguments.threads)
        print(f"a curriculum's texts, {TYPES[1]}, {task}: {said}", flush=True)
        writing += texts_each * seconds
    print(
        f"make small: {TRAINED / training / 60:.0f} minutes for the primer and four trainings, {writing / 60:.0f} for "
        "the curricula and the control arm's; checks, evaluations and exams are not measured here"
    )


def trained(weights: Path, dtype: str, steps: int, threads: int) -> tuple[str, float]:
    """What to print, and tokens a second."""
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
    said = f"{speeds(progress.tokens, processor, clock)}; loss {losses[0]:.3f}, the last three steps {last:.3f}"
    return said, progress.tokens / clock


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


def asked(teacher: Path, task: str, threads: int) -> tuple[str, float]:
    """What to print, and seconds a text: a batch of what config/small.yaml asks first, of the easiest cells, to write
    or to solve."""
    import random

    import torch

    from lamarck.config.engine import HFEngineConfig
    from lamarck.config.strategy import load_strategy
    from lamarck.curriculum.cell import open_cells
    from lamarck.engine.hf import HFEngine

    torch.set_num_threads(threads)
    strategy = load_strategy(Path("config/strategies/plain.yaml"))
    wording, rng = strategy.wording(), random.Random(0)
    cells = sorted(open_cells(strategy), key=lambda cell: cell.difficulty)[: BATCH // strategy.probe_samples]
    settings = {"dtype": TYPES[1], "batch_size": BATCH, "forms": "enforced"}
    engine = HFEngine(HFEngineConfig.model_validate(settings), teacher, None)
    each = [cell for cell in cells for _ in range(strategy.probe_samples)]
    forms: list[str | None] | None = None
    if task == "write":
        prompts = [wording.to_write(cell.skill.ask(cell.difficulty), rng) for cell in each]
        forms, temperature = [cell.skill.form(cell.difficulty) for cell in each], strategy.sampling.temperature
    else:
        prompts = [wording.to_solve(cell.skill.sample(rng, cell.difficulty).prompt) for cell in each]
        temperature = strategy.answers.temperatures[0]
    engine.generate(prompts[:2], max_new_tokens=2)
    longest = strategy.sampling.max_new_tokens
    texts, processor, clock = timed(
        lambda: engine.generate(prompts, max_new_tokens=longest, temperature=temperature, forms=forms)
    )
    tokens = sum(len(row) for row in engine.tokenizer(texts)["input_ids"])
    return f"{speeds(tokens, processor, clock)}, {tokens / len(texts):.0f} tokens a text", clock / len(texts)


def timed(work: Callable[[], R]) -> tuple[R, float, float]:
    """(result, processor-seconds, seconds)."""
    processor, clock = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - processor, time.perf_counter() - clock


def speeds(tokens: int, processor: float, clock: float) -> str:
    return f"{tokens / processor:.0f} tokens per processor-second, {tokens / clock:.0f} per second"


if __name__ == "__main__":
    main()
