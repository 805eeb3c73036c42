"""The priming stage: behind the gate, the founder learns to follow the skills' words, and what it learned is merged.

    python -m lamarck.train.primer --config config/small.yaml --generation g0 --plan results/g0/plan.json \
        --approval approvals/g0.ok --weights results/g0/unprimed --curriculum results/g0/curriculum.jsonl \
        --checkpoint results/g0/checkpoint --output results/g0/weights
"""

import argparse
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import atomic_directory, digest_value, every_byte_read, file_digests, read_json, write_json
from lamarck.gate.allowance import approved
from lamarck.gate.primer import check_primer
from lamarck.lineage.artifacts import WEIGHTS
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import parse_source, read_source
from lamarck.lineage.digest import model_directory_files, weights_digest
from lamarck.lineage.generation import WEIGHTS_RECORD, parse_generation
from lamarck.lineage.records import make_record
from lamarck.models.shards import model_directory
from lamarck.progress import count_up
from lamarck.run_lock import take_lock
from lamarck.seeds import seed_for


def main() -> None:
    arguments = _arguments()
    started = time.time()
    founder = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, founder)
    with every_byte_read():  # nothing that is remembered of a file opens the gate
        admitted = check_primer(
            config, founder, arguments.plan, arguments.approval, arguments.weights, arguments.curriculum
        )
    busy = f"another process is priming {founder.name}"
    take_lock(arguments.checkpoint / "lock", busy)
    allowance = approved(admitted, founder)
    if allowance.journal:
        take_lock(allowance.journal.lock, busy)
    prepare_libraries(arguments.threads)

    # Heavy: after everything that can be refused without it.
    import torch

    from lamarck.models.device import device_of
    from lamarck.models.opening import open_tokenizer
    from lamarck.train.data import Batches, exercises, show_example, tokenize
    from lamarck.train.loop import train
    from lamarck.train.model import load_trainable

    steps = admitted.plan.cost.steps
    recipe = admitted.primer.recipe.taking(steps)
    tokenizer = open_tokenizer(arguments.weights)
    data = tokenize(exercises(admitted.items, recipe.reasoning), tokenizer, recipe.max_tokens)
    print(f"{founder.name} learns what stands in brackets: {show_example(data.examples[0], tokenizer)}", flush=True)
    seed = seed_for(config.seed, "train", "primer")
    torch.manual_seed(seed)
    model = load_trainable(arguments.weights, None, recipe, device_of(config.machines.train))
    if weights_digest(arguments.weights) != admitted.parent:
        raise LamarckError(f"the weights of {founder.name} changed while they were loaded: nothing was trained")
    batches = Batches(data.examples, recipe.batch_size, seed, tokenizer.eos_token_id)
    given = {"unprimed": (arguments.weights,), "curriculum": (arguments.curriculum,), "plan": (arguments.plan,)}
    # What was read at the gate wins over what may lie there by now.
    inputs = WEIGHTS.setting_digests(config, founder, given) | admitted.pieces
    with count_up(f"{founder.name} is primed", "steps", steps) as on_step:
        progress = train(model, batches, recipe, allowance, arguments.checkpoint, digest_value(inputs), on_step)

    # In 32 bits the sum is exact to rounding; then it is rounded once, to the type in which the founder came.
    merged = model.float().merge_and_unload()
    unprimed = model_directory(arguments.weights)
    dtype = getattr(torch, _dtype(read_json(unprimed / "config.json")))
    with atomic_directory(arguments.output) as directory:
        merged.to(dtype).save_pretrained(directory)
        for path in model_directory_files(unprimed):
            if not path.name.endswith((".safetensors", ".safetensors.index.json")):
                shutil.copyfile(path, directory / path.name)
        wall_seconds = time.time() - started
        record = make_record(
            weights_digest(directory), inputs, seed, next(model.parameters()).device.type, wall_seconds, progress.spent
        ).model_copy(update={"resumed": progress.resumed})
        came = read_source(arguments.weights / WEIGHTS_RECORD)
        said = came.written()
        source = {
            "kind": "primed",
            "from": {name: value for name, value in said.items() if name not in ("record", "files")},
            "license": came.license,
            "origin": came.origin or said.get("repo"),
            "primer": {
                "plan": admitted.pieces["plan"],
                "steps": progress.step,
                "examples": len(data.examples),
                "examples_too_long": data.too_long,
                "tokens": progress.tokens,
                "log": [asdict(row) for row in progress.log],
            },
            "files": file_digests(directory),
            "record": record.model_dump(mode="json"),
        }
        write_json(directory / WEIGHTS_RECORD, parse_source(source, WEIGHTS_RECORD).written())
    shutil.rmtree(arguments.checkpoint)
    print(f"{founder.name}: primed in {progress.step} steps, final loss {progress.log[-1].loss:.4f}")


def _dtype(config: dict[str, Any]) -> str:
    """As a config.json names the type of its weights, in newer and in older versions."""
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamarck.train.primer", description="Prime an approved founder.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", default="g0")
    for name in ("plan", "approval", "weights", "curriculum", "checkpoint", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    exit_with_sentence(main)
