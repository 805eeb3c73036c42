"""The training stage: behind the gate, the child is made.

    python -m lamarck.train --config config/default.yaml --generation g1 --plan results/g1/plan.json \
        --approval approvals/g1.ok --weights results/g0/weights --curriculum results/g1/curriculum.jsonl \
        --checkpoint results/g1/checkpoint --metrics logs/tensorboard/g1 --output results/g1/adapter
"""

import argparse
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from lamarck.config import load_config
from lamarck.curriculum.item import read_curriculum
from lamarck.curriculum.strategy import load_strategy
from lamarck.errors import exit_with_sentence
from lamarck.files import atomic_directory, digest_value, write_json
from lamarck.freshness import adapter_inputs
from lamarck.gate.check import check_gate
from lamarck.lineage import ADAPTER_RECORD, adapter_digest, make_record, model_digest, parse_generation
from lamarck.progress import count_up
from lamarck.run_lock import take_lock
from lamarck.seeds import seed_for

# Where every adapter says its base lies: a path of this machine would change the bytes and name the machine.
BASE = "results/g0/weights"


def main() -> None:
    arguments = _arguments()
    started = time.perf_counter()
    config = load_config(arguments.config)
    recipe = config.recipe
    child = parse_generation(arguments.generation)
    plan = check_gate(
        config,
        child,
        arguments.plan,
        arguments.approval,
        arguments.weights,
        arguments.parent_adapter,
        arguments.curriculum,
    )
    take_lock(arguments.checkpoint / "lock", f"another process is training {child.name}")

    # Heavy imports come after everything that can be refused without them.
    import torch
    from transformers import AutoTokenizer

    from lamarck.train.data import Batches, exercises, show_example, tokenize
    from lamarck.train.log import metrics_shown, peak_memory
    from lamarck.train.loop import train
    from lamarck.train.model import export_adapter, load_trainable

    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(arguments.weights, local_files_only=True)
    seed = seed_for(config.seed, "train", str(child.number))
    items = list(read_curriculum(arguments.curriculum))
    data = tokenize(exercises(items, recipe.reasoning), tokenizer, recipe.max_tokens)
    print(f"{child.name} learns what stands in brackets: {show_example(data.examples[0], tokenizer)}", flush=True)

    with metrics_shown(config.metrics, arguments.metrics) as on_row:
        torch.manual_seed(seed)
        parent = None if recipe.inherit == "fresh" else arguments.parent_adapter
        model = load_trainable(arguments.weights, parent, recipe, device)
        # Counted now: `stack` is exported by replacing the trained adapter with the sum of two.
        trained_parameters = sum(value.numel() for value in model.parameters() if value.requires_grad)
        easy_to_hard = load_strategy(config.strategy_of(child.number)).ordering == "easy_to_hard"
        batches = Batches(data.examples, recipe.batch_size, seed, tokenizer.eos_token_id, easy_to_hard)
        inputs = adapter_inputs(
            config, arguments.plan, arguments.curriculum, model_digest(arguments.weights, arguments.parent_adapter)
        )
        with count_up(f"{child.name} is trained", "steps", recipe.steps) as on_step:
            progress = train(
                model,
                batches,
                recipe,
                plan.budget.device_seconds,
                arguments.checkpoint / "state.pt",
                digest_value(inputs),
                on_step,
                on_row,
            )

    stopped = "steps" if progress.step == recipe.steps else "ceiling"
    with atomic_directory(arguments.output) as directory:
        for settings in model.peft_config.values():
            settings.base_model_name_or_path = BASE
        export_adapter(model, recipe.inherit, directory)
        wall_seconds = time.perf_counter() - started
        record = make_record(
            adapter_digest(directory), inputs, seed, str(device), wall_seconds, progress.device_seconds
        )
        training = {
            "generation": child.name,
            "record": record.model_dump(mode="json"),
            "recipe": recipe.model_dump(mode="json"),
            "budget": {
                "ceiling_device_seconds": plan.budget.device_seconds,
                "used_device_seconds": round(progress.device_seconds, 3),
                "stopped_by": stopped,
            },
            "steps": progress.step,
            "examples": len(data.examples),
            "examples_too_long": data.too_long,
            "tokens": progress.tokens,
            "tokens_per_second": round(progress.tokens / progress.device_seconds, 1),
            "peak_memory_bytes": peak_memory(device),
            "trained_parameters": trained_parameters,
            "log": [asdict(row) for row in progress.log],
        }
        write_json(directory / ADAPTER_RECORD, training)
    shutil.rmtree(arguments.checkpoint)
    if stopped == "ceiling":
        print(f"{child.name}: stopped at its compute ceiling of {plan.budget.device_seconds:g} device-seconds")
    print(f"{child.name}: {progress.step} steps, final loss {progress.log[-1].loss:.4f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamarck.train", description="Train an approved generation.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--approval", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--parent-adapter", type=Path)
    parser.add_argument("--curriculum", type=Path, required=True)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="directory of the checkpoint; removed at the end"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="directory of the run's metrics, if configured")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    exit_with_sentence(main)
