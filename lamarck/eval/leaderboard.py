"""The Open LLM Leaderboard's six benchmarks as an exam: lm-eval asks and scores, on data that lies on this machine.

Benchmarks, prompts and metrics are lm-eval's own group `leaderboard`; a value is normalised as the leaderboard does it,
so that chance is 0 and everything right 100 (huggingface.co/docs/leaderboards/open_llm_leaderboard/normalization). What
one answers is a likelihood for most of them, which only the weights give: they are opened here, whatever the engine.
"""

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.eval.outcome import DECIMALS, reason
from lamarck.files import digest_value, file_digests, read_jsonl

BATCH = 8
RANDOM_SEED, NUMPY_SEED, TORCH_SEED = 0, 1234, 1234  # lm-eval's own: GPQA shuffles its choices
SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")
STRICT = ("inst_level_strict_acc", "prompt_level_strict_acc")


@dataclass(frozen=True)
class Benchmark:
    """`floors`: lm-eval task -> what chance gets; of those that are not named, one of their choices, or 0. `weighted`:
    its tasks count by their items, else alike. The rest is what the hub's model cards call it."""

    key: str
    group: str
    metrics: tuple[str, ...]
    dataset: str
    name: str
    shots: int
    metric: str
    floors: dict[str, float] = field(default_factory=dict)
    weighted: bool = False


BENCHMARKS = (
    Benchmark("ifeval", "leaderboard_ifeval", STRICT, "HuggingFaceH4/ifeval", "IFEval (0-Shot)", 0, "strict accuracy"),
    Benchmark("bbh", "leaderboard_bbh", ("acc_norm",), "BBH", "BBH (3-Shot)", 3, "normalized accuracy"),
    Benchmark(
        "math",
        "leaderboard_math_hard",
        ("exact_match",),
        "hendrycks/competition_math",
        "MATH Lvl 5 (4-Shot)",
        4,
        "exact match",
        weighted=True,
    ),
    Benchmark(
        "gpqa", "leaderboard_gpqa", ("acc_norm",), "Idavidrein/gpqa", "GPQA (0-shot)", 0, "acc_norm", weighted=True
    ),
    Benchmark(
        "musr",
        "leaderboard_musr",
        ("acc_norm",),
        "TAUR-Lab/MuSR",
        "MuSR (0-shot)",
        0,
        "acc_norm",
        {
            "leaderboard_musr_murder_mysteries": 1 / 2,
            "leaderboard_musr_object_placements": 1 / 5,
            "leaderboard_musr_team_allocation": 1 / 3,
        },
    ),
    Benchmark(
        "mmlu_pro",
        "leaderboard_mmlu_pro",
        ("acc",),
        "TIGER-Lab/MMLU-Pro",
        "MMLU-PRO (5-shot)",
        5,
        "accuracy",
        {"leaderboard_mmlu_pro": 1 / 10},
    ),
)
BY_KEY = {benchmark.key: benchmark for benchmark in BENCHMARKS}


def sit(model: Any, tokenizer: Any, data: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What a model scores on the benchmarks named by `keys`, with the files under `data`.

    {"benchmarks": {key: {"value": points of 0..100, "tasks": {lm-eval's task: {"value", "n"}}}}, "errors": {key: why},
    "partial", "chat_template", "data": digest of the files}. What could not run has no value: an error is no zero.
    """
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    found: dict[str, Any] = {}
    errors: dict[str, str] = {}
    chat = bool(tokenizer.chat_template)
    with _quiet():
        asked = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH)
        for key in keys:
            try:
                _seed()
                tasks = {name: _load(config, data / key) for name, config in configs(BY_KEY[key]).items()}
                results = lm_eval.evaluate(
                    lm=asked,
                    task_dict={"tasks": tasks},
                    apply_chat_template=chat,
                    fewshot_as_multiturn=chat,
                    bootstrap_iters=0,
                )
                found[key] = _scored(BY_KEY[key], results)
            except Exception as error:  # lm-eval raises whatever its utilities, filters and metrics raise
                errors[key] = str(error) if isinstance(error, LamarckError) else reason(error)
    return {
        "benchmarks": found,
        "errors": errors,
        "partial": bool(errors),
        "chat_template": chat,
        "data": digest_value(file_digests(data)),
    }


def configs(benchmark: Benchmark) -> dict[str, dict[str, Any]]:
    """lm-eval's description of each of a benchmark's tasks. Errors: LamarckError where a package of its is missing."""
    from lm_eval.tasks._yaml_loader import load_yaml

    index = _index()
    entry = index[benchmark.group]
    names = [benchmark.group]
    if "group" in (whole := dict(load_yaml(entry.yaml_path, resolve_func=False))):
        names = list(whole["task"])
    try:
        return {name: dict(load_yaml(index[name].yaml_path)) for name in names}
    except (ImportError, LookupError) as error:
        raise LamarckError(
            f"lm-eval's {benchmark.group} needs packages that are not here ({reason(error)}): "
            "pip install 'lm_eval[ifeval,math]' 'setuptools<81'"
        ) from error


@cache
def _index() -> Any:
    """lm-eval's name -> entry, of the leaderboard's folder alone: of all its tasks it takes seconds to make."""
    import lm_eval.tasks

    folder = Path(lm_eval.tasks.__file__).parent / "leaderboard"
    return lm_eval.tasks.TaskManager(include_path=str(folder), include_defaults=False).task_index


def _load(config: dict[str, Any], directory: Path) -> Any:
    """The lm-eval task over the files SUBSET/SPLIT.jsonl of `directory`: SUBSET is the hub's name, or `default`."""
    from datasets import Dataset, DatasetDict
    from lm_eval.tasks import TaskManager

    subset = directory / (config.get("dataset_name") or "default")
    asked = config.get("test_split") or config.get("validation_split")
    needed = {asked, config.get("fewshot_split")} - {None}
    rows: dict[str, Any] = {}
    for split in sorted({config[key] for key in SPLITS if config.get(key)}):
        file = subset / f"{split}.jsonl"
        if file.exists():
            rows[split] = Dataset.from_list([row for _, row in read_jsonl(file)])
        elif split in needed:
            raise LamarckError(f"{file} does not exist: bring the data of {config['task']} there, one item a line")
    splits = {key: config[key] if config.get(key) in rows else None for key in SPLITS if key in config}
    whole = {**config, **splits, "custom_dataset": lambda **_: DatasetDict(rows)}
    return TaskManager(include_defaults=False).load([whole])["tasks"][config["task"]]


def _scored(benchmark: Benchmark, results: dict[str, Any]) -> dict[str, Any]:
    tasks: dict[str, dict[str, Any]] = {}
    values: list[tuple[float, int]] = []
    for name, figures in results["results"].items():
        number = results["n-samples"][name]["effective"]
        raw = sum(float(figures[f"{metric},none"]) for metric in benchmark.metrics) / len(benchmark.metrics)
        choices = results["configs"][name].get("doc_to_choice")
        floor = benchmark.floors.get(name, 1 / len(choices) if isinstance(choices, list) else 0.0)
        tasks[name] = {"value": round(raw, DECIMALS), "n": number}
        values.append((max(0.0, (raw - floor) / (1 - floor)), number if benchmark.weighted else 1))
    whole = sum(value * weight for value, weight in values) / sum(weight for _, weight in values)
    return {"value": round(100 * whole, DECIMALS), "tasks": tasks}


def _seed() -> None:
    import numpy as np
    import torch

    random.seed(RANDOM_SEED)
    np.random.seed(NUMPY_SEED)
    torch.manual_seed(TORCH_SEED)


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
