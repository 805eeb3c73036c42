"""Training and writing on one NVIDIA GPU, against TRL and `transformers.generate` in the same run. No network.

    python -m benchmarks.gpu                     # all parts, the dearest first: about eight minutes
    python -m benchmarks.gpu 8b generate         # some of them
    python -m benchmarks.gpu --memory-gib 79.1   # as on a smaller card
    python -m benchmarks.gpu --tiny              # every part at tiny shapes, without a GPU too: a rehearsal

70b       QLoRA of the 70B shape, NF4, 4,096 tokens; with Liger where it is installed; a profile. Two minutes.
8b        the same of the 8B shape, every layer computed twice and as memory asks; TRL's SFTTrainer. Three minutes.
generate  the engine hf against `generate`, 64 and 256 texts side by side, 135M and 8B shapes. Two minutes.
135m      LoRA of the 135M shape in 16 bits, rows of 1,024 tokens. One minute.

Models are built layer by layer on the GPU with random weights, which decide neither speed nor memory. Every line is
printed as soon as it is known, so that a run that is cut off has not been in vain. Beside each figure stands what
`lamarck plan` would have said.
"""

import argparse
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.gpu_models import build, config_of, examples, free, liger, save, tokenizer
from lamarck.budget.machine import AGAIN, KEPT_OPERATIONS, TERA, Gpu, load_catalogue, training_speed
from lamarck.budget.memory import GIB, training_memory
from lamarck.budget.shape import KNOWN_SHAPES, KnownShapes, Shape
from lamarck.budget.work import rows_at_once
from lamarck.config import Recipe, StageMachine
from lamarck.config.engine import HFEngineConfig
from lamarck.config.section import load_section
from lamarck.engine.hf import HFEngine
from lamarck.gate.allowance import Allowance
from lamarck.train.data import Batches
from lamarck.train.graphs import use_graphs
from lamarck.train.liger import liger_version, use_liger
from lamarck.train.log import peak_memory
from lamarck.train.loop import train
from lamarck.train.memory import compute_again, fit_memory
from lamarck.train.model import with_adapter
from lamarck.train.team import alone

FOUNDERS = load_section(KNOWN_SHAPES, KnownShapes).founders
SHAPE_70B, SHAPE_8B = (FOUNDERS[f"deepseek-ai/DeepSeek-R1-Distill-Llama-{size}"] for size in ("70B", "8B"))
SHAPE_135M = FOUNDERS["HuggingFaceTB/SmolLM2-135M-Instruct"]
TINY = Shape(hidden=64, layers=3, heads=2, kv_heads=1, head_size=32, intermediate=128, vocabulary=256, context=512)
QLORA = Recipe(
    quantize="nf4",
    dtype="bfloat16",
    dropout=0.05,
    batch_size=3,
    max_tokens=4096,
    learning_rate=1e-4,
    warmup_steps=0,
    checkpoint_every=10**6,
)
LORA = QLORA.model_copy(update={"quantize": "none", "dropout": 0.0, "batch_size": 48, "max_tokens": 1024})
WARM_UP = 1  # steps, and passes of an engine, that are not counted
PROMPT_TOKENS = (32, 96)  # from, to: unequal, as questions are
KERNELS = 15  # of a profile: those that take longest


@dataclass(frozen=True)
class Bench:
    """Where it runs, and whether it is a rehearsal. `gpu`: its kind in config/machines.yaml, where that has it."""

    device: torch.device
    gpu: Gpu | None
    tiny: bool

    def shape(self, shape: Shape) -> Shape:
        return TINY if self.tiny else shape

    def recipe(self, recipe: Recipe, steps: int) -> Recipe:
        tiny = {"max_tokens": 32, "batch_size": min(recipe.batch_size, 6), "rank": 4} if self.tiny else {}
        return recipe.model_copy(update={"steps": WARM_UP + (1 if self.tiny else steps)} | tiny)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when left out")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes: a rehearsal, on a CPU too")
    parser.add_argument("--memory-gib", type=float, help="take no more than this of the GPU's memory")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    if not torch.cuda.is_available() and not arguments.tiny:
        sys.exit("no GPU is seen here: `--tiny` rehearses without one")
    bench = Bench(*_device(arguments.memory_gib), arguments.tiny)
    print("; ".join(_versions()), flush=True)
    failed: list[str] = []
    for name in [name for name in PARTS if name in (arguments.parts or PARTS)]:
        started = time.perf_counter()
        try:
            PARTS[name](bench)
        except Exception as error:  # what the other parts find is not lost
            say(name, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            traceback.print_exc()
            failed.append(name)
        free()
        say(name, f"done in {time.perf_counter() - started:.0f} s")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _device(memory_gib: float | None) -> tuple[torch.device, Gpu | None]:
    """The GPU and its kind in config/machines.yaml, where that has it."""
    if not torch.cuda.is_available():
        print("no GPU: a rehearsal on the CPU", flush=True)
        return torch.device("cpu"), None
    name, whole = torch.cuda.get_device_name(), torch.cuda.mem_get_info()[1]
    limit = f", of which this process takes {memory_gib:g}" if memory_gib else ""
    print(f"{name}, {whole / GIB:.1f} GiB{limit}, CUDA {torch.version.cuda}", flush=True)
    if memory_gib:
        torch.cuda.set_per_process_memory_fraction(memory_gib * GIB / whole)
    return torch.device("cuda"), next((gpu for gpu in load_catalogue().gpus.values() if gpu.id == name), None)


def _versions() -> Iterator[str]:
    yield f"Python {sys.version.split()[0]}"
    for package in ("torch", "transformers", "peft", "bitsandbytes", "trl", "liger-kernel"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"


def say(part: str, line: str) -> None:
    print(f"{part}: {line}", flush=True)


# The parts.


def part_70b(bench: Bench) -> None:
    shape, recipe = bench.shape(SHAPE_70B), bench.recipe(QLORA, 2)
    best_of_ours(bench, "70b", shape, recipe)
    free()
    with liger():
        profiled(bench, shape, recipe)


def part_8b(bench: Bench) -> None:
    shape, recipe = bench.shape(SHAPE_8B), bench.recipe(QLORA, 6)
    ours(bench, "8b", shape, recipe, recomputed=shape.layers)
    best = best_of_ours(bench, "8b", shape, recipe)
    for checkpointing in (True, False):
        if peer := trl(bench, shape, recipe, checkpointing):
            say("8b", f"the best of ours / TRL: {best / peer:.2f}")


def part_generate(bench: Bench) -> None:
    for name, shape in (("135M", SHAPE_135M), ("8B", SHAPE_8B)):
        # In memory, where there is such a folder: what is written is read back at once.
        shared = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
            save(bench.device, bench.shape(shape), Path(folder))
            for texts in (64, 256):
                compare(bench, f"{name}, {texts} side by side", Path(folder), 8 if bench.tiny else texts)
                free()


def part_135m(bench: Bench) -> None:
    best_of_ours(bench, "135m", bench.shape(SHAPE_135M), bench.recipe(LORA, 20))


PARTS: dict[str, Callable[[Bench], None]] = {
    "70b": part_70b,
    "8b": part_8b,
    "generate": part_generate,
    "135m": part_135m,
}


# Training.


def best_of_ours(bench: Bench, part: str, shape: Shape, recipe: Recipe) -> float:
    """Tokens a second, with as many layers computed twice as memory asks for; with and without Liger."""
    best = ours(bench, part, shape, recipe)
    if has_liger(bench, shape, recipe):
        with liger():
            best = max(best, ours(bench, part, shape, recipe, liger=True))
    return best


def ours(
    bench: Bench, part: str, shape: Shape, recipe: Recipe, recomputed: int | None = None, liger: bool = False
) -> float:
    """Tokens a second of this project's loop, the median of its steps. `recomputed`: layers that are computed twice; as
    many as memory asks for when left out."""
    free()
    model, recomputed, replayed = trainable(bench, shape, recipe, recomputed, liger)
    batches = Batches(examples(shape, recipe), recipe.batch_size, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        allowance = Allowance("a benchmark", float("inf"))
        progress = train(model, batches, recipe, allowance, Path(folder), "benchmark", lambda steps: None)
    kernels = (" with Liger" if liger else "") + (", replayed" if replayed else "")
    speed = statistics.median(row.tokens_per_second for row in progress.log[WARM_UP:])
    operations = KEPT_OPERATIONS + recomputed / shape.layers * AGAIN
    done = speed * operations * shape.parameters / TERA
    losses = f"loss {progress.log[0].loss:.3f} to {progress.log[-1].loss:.3f}"
    say(
        part,
        f"ours{kernels}, {recomputed} of {shape.layers} layers computed twice: "
        f"{speed:,.0f} tokens/s, {peak_memory(bench.device) / GIB:.1f} GiB, {done:,.0f} TFLOP/s; {losses}",
    )
    memory = training_memory(shape, recipe, rows_at_once(recipe.batch_size), recomputed).total
    planned = f"{memory / GIB:.1f} GiB"
    if bench.gpu:
        kind = next(name for name, gpu in load_catalogue().gpus.items() if gpu == bench.gpu)
        speed_planned = training_speed(load_catalogue(), StageMachine(gpu=kind), shape, recipe, recomputed)
        planned += f", {speed_planned.tokens_per_second:,.0f}"
    say(part, f"  as planned: {planned}")
    return speed


def trainable(bench: Bench, shape: Shape, recipe: Recipe, recomputed: int | None, liger: bool) -> tuple[Any, int, bool]:
    """A model as `lamarck.train` makes it, how many layers are computed twice, and whether its passes are replayed."""
    torch.manual_seed(0)
    base = build(bench.device, shape, recipe.quantize == "nf4")
    if liger:
        use_liger(base)
    model, team = with_adapter(base, None, recipe), alone(bench.device)
    if recomputed is None:
        recomputed = fit_memory(model, recipe, team)
    else:
        compute_again(model, recomputed, team)
    return model, recomputed, use_graphs(model, recipe, team, recomputed)


def trl(bench: Bench, shape: Shape, recipe: Recipe, checkpointing: bool) -> float | None:
    """Tokens a second of TRL's SFTTrainer; None where it is not installed, or does not fit."""
    try:
        from datasets import Dataset
        from peft import LoraConfig
        from transformers import TrainerCallback
        from trl import SFTConfig, SFTTrainer
    except ImportError:
        say("8b", "TRL is not installed")
        return None
    ended: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ended.append(time.perf_counter())

    free()
    torch.manual_seed(0)
    rows = [
        {"input_ids": list(row.tokens), "completion_mask": [0] * row.answer_start + [1] * row.answers}
        for row in examples(shape, recipe)
    ]
    name = f"TRL, {'every layer computed twice' if checkpointing else 'every layer kept'}"
    adapter = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            max_steps=recipe.steps,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            max_length=recipe.max_tokens,
            gradient_checkpointing=checkpointing,
            completion_only_loss=True,
            use_cpu=bench.device.type == "cpu",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=0,
        )
        try:
            trainer = SFTTrainer(
                build(bench.device, shape, True),
                args=settings,
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer(shape.vocabulary),
                peft_config=adapter,
                callbacks=[Clock()],
            )
            trainer.log = lambda *said, **_: trainer.state.log_history.append(said[0])
            trainer.train()
        except torch.OutOfMemoryError:
            say("8b", f"{name}: out of memory")
            return None
    seconds = [after - before for before, after in zip(ended[WARM_UP - 1 :], ended[WARM_UP:], strict=False)]
    speed = recipe.batch_size * recipe.max_tokens / statistics.median(seconds)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    memory = peak_memory(bench.device) / GIB
    say("8b", f"{name}: {speed:,.0f} tokens/s, {memory:.1f} GiB; loss {losses[0]:.3f} to {losses[-1]:.3f}")
    return speed


def profiled(bench: Bench, shape: Shape, recipe: Recipe) -> None:
    """Where the time of one step goes, after one that warms up."""
    model = trainable(bench, shape, recipe, None, has_liger(bench, shape, recipe))[0]
    batches = Batches(examples(shape, recipe), recipe.batch_size, 0, 0)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.device.type == "cuda" else [])]

    def step(steps: int) -> None:
        short = recipe.model_copy(update={"steps": steps})
        with tempfile.TemporaryDirectory() as folder:
            allowance = Allowance("a benchmark", float("inf"))
            train(model, batches, short, allowance, Path(folder), "benchmark", lambda steps: None)

    step(1)
    with profile(activities=activities) as found:
        step(1)
    order = "self_device_time_total" if bench.device.type == "cuda" else "self_cpu_time_total"
    print(found.key_averages().table(sort_by=order, row_limit=KERNELS, max_name_column_width=60), flush=True)


def has_liger(bench: Bench, shape: Shape, recipe: Recipe) -> bool:
    return liger_version(config_of(shape), recipe, bench.device) is not None


# Writing.


def compare(bench: Bench, name: str, weights: Path, texts: int) -> None:
    new_tokens = 8 if bench.tiny else 128
    numbers = torch.Generator().manual_seed(0)
    lengths = torch.randint(*PROMPT_TOKENS, (texts,), generator=numbers).tolist()
    rows = [torch.randint(1, TINY.vocabulary, (each,), generator=numbers).tolist() for each in lengths]
    prompts = [" ".join(f"w{number}" for number in row) for row in rows]
    answers, seconds = with_engine(weights, prompts, new_tokens)
    free()
    theirs, slower = with_generate(bench, weights, prompts, new_tokens)
    free()
    speed, peer = (
        sum(len(text.split()) for text in written) / took for written, took in ((answers, seconds), (theirs, slower))
    )
    equal = sum(one == other for one, other in zip(answers, theirs, strict=True))
    say(
        "generate",
        f"{name}: {speed:,.0f} tokens/s, `generate` {peer:,.0f}: {speed / peer:.2f} times as fast; "
        f"{equal} of {texts} answers equal",
    )


def with_engine(weights: Path, prompts: list[str], new_tokens: int) -> tuple[list[str], float]:
    engine = HFEngine(HFEngineConfig(batch_size=len(prompts), dtype="bfloat16"), weights, None)
    return timed(lambda: engine.generate(prompts, max_new_tokens=new_tokens))


def with_generate(bench: Bench, weights: Path, prompts: list[str], new_tokens: int) -> tuple[list[str], float]:
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.bfloat16).to(bench.device).eval()
    words = AutoTokenizer.from_pretrained(weights, padding_side="left")

    @torch.inference_mode()
    def plain() -> list[str]:
        inputs = words(prompts, return_tensors="pt", padding=True, return_token_type_ids=False).to(bench.device)
        output = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        answers: list[str] = words.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return answers

    return timed(plain)


def timed(work: Callable[[], list[str]]) -> tuple[list[str], float]:
    """What it gives, and the seconds of its second pass."""
    for _ in range(WARM_UP):
        work()
    started = time.perf_counter()
    given = work()
    return given, time.perf_counter() - started


if __name__ == "__main__":
    main()
