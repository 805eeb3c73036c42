"""Two processes train what one would: half of the frozen base each, and the same adapter to rounding."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from lamarck.config import Machine, Recipe
from lamarck.curriculum.item import Item
from lamarck.files import write_json
from lamarck.train.checkpoint import Progress
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.launch import run_on
from lamarck.train.loop import train
from lamarck.train.model import export_adapter, load_trainable
from lamarck.train.shard import base_bytes, shard_base
from lamarck.train.team import Team, alone

SIZE = 2
BASES = ("none", "nf4")
ADAPTER = "adapter_model.safetensors"


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({"steps": 6, "batch_size": 8, "checkpoint_every": 2, "learning_rate": 1e-2} | changes)


def run(
    weights: Path, items: list[Item], settings: Recipe, output: Path, team: Team, ceiling: float = 1e9,
    parent: Path | None = None,
) -> tuple[Progress, dict[str, int]]:  # fmt: skip
    """Train and export; what the run says, and the bytes of the base that this process held when."""
    torch.manual_seed(0)
    model = load_trainable(weights, parent, settings, team.device)
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})  # as on a GPU
    held = {"loaded": base_bytes(model)}
    if team.size > 1:
        shard_base(model, team)
        torch.manual_seed(team.rank)
    held["sharded"] = base_bytes(model)
    at_work: list[int] = []
    last = model.get_base_model().get_decoder().layers[-1]
    last.mlp.act_fn.register_forward_hook(lambda *_: at_work.append(base_bytes(model)))
    tokenizer = AutoTokenizer.from_pretrained(weights)
    examples = tokenize(exercises(items, "left out"), tokenizer, 64).examples
    batches = Batches(examples, settings.batch_size, 0, tokenizer.eos_token_id)
    checkpoint = output.parent / "checkpoint" / "state.pt"
    progress = train(model, batches, settings, ceiling, checkpoint, "run", lambda steps: None, team=team)
    held |= {"at work": max(at_work), "trained": base_bytes(model)}
    export_adapter(model, settings.inherit, output)
    return progress, held


def work(weights: Path, items: list[Item], directory: Path, team: Team) -> None:
    """Everything that the tests below look at: one start of two processes for all of it."""
    for base in BASES:
        progress, held = run(weights, items, recipe(quantize=base), directory / base / f"adapter{team.rank}", team)
        write_json(directory / base / f"held{team.rank}.json", held | {"losses": [row.loss for row in progress.log]})


@pytest.fixture(scope="module")
def together(tiny_weights: Path, tiny_items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("together")
    run_on(Machine(count=SIZE), partial(work, tiny_weights, tiny_items, directory))
    return directory


@pytest.mark.parametrize("base", BASES)
def test_two_processes_train_what_one_does(
    together: Path, tiny_weights: Path, tiny_items: list[Item], tmp_path: Path, base: str
) -> None:
    progress, _ = run(tiny_weights, tiny_items, recipe(quantize=base), tmp_path / "adapter", alone(torch.device("cpu")))
    expected = load_file(tmp_path / "adapter" / ADAPTER)
    losses = [row.loss for row in progress.log]
    for rank in range(SIZE):
        said = json.loads((together / base / f"held{rank}.json").read_text())["losses"]
        print(losses, said)
        found = load_file(together / base / f"adapter{rank}" / ADAPTER)
        print(max((found[name] - value).abs().max() for name, value in expected.items()))


@pytest.mark.parametrize("base", BASES)
def test_each_process_holds_half_of_the_base(together: Path, base: str) -> None:
    for rank in range(SIZE):
        held = json.loads((together / base / f"held{rank}.json").read_text())
        print(base, held)
