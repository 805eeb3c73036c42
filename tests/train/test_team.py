"""Two processes train what one would: half of the frozen layers each, and the same adapter to rounding."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from lamarck.budget.memory import split_bytes, stream_bytes
from lamarck.budget.shape import shape_of_directory
from lamarck.config import Recipe, StageMachine
from lamarck.curriculum.item import Item
from lamarck.files import read_json, write_json
from lamarck.gate.allowance import Allowance
from lamarck.train.checkpoint import Progress
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.launch import run_on
from lamarck.train.loop import train
from lamarck.train.memory import layers_of, recompute
from lamarck.train.model import export_adapter, load_trainable
from lamarck.train.shard import base_bytes, shard_base
from lamarck.train.team import Team, alone

SIZE = 2
STEPS = 6
ADAPTER = "adapter_model.safetensors"
# The last is what a GPU gets: 16-bit numbers hold the weights, and flow between the layers.
BASES = {
    "none": {"quantize": "none"},
    "nf4": {"quantize": "nf4"},
    "nf4 in bfloat16": {"quantize": "nf4", "dtype": "bfloat16"},
}
# Of an adapter's norm and of a loss: sums of other rows are rounded otherwise, in 16 bits to two or three digits.
ROUNDING = {"none": 1e-5, "nf4": 1e-5, "nf4 in bfloat16": 1e-2}


def recipe(**changes: object) -> Recipe:
    settings = {"steps": STEPS, "batch_size": 8, "checkpoint_every": 4, "learning_rate": 1e-2}
    return Recipe.model_validate(settings | changes)


@dataclass(frozen=True)
class World:
    """What every run here shares: the founder, its items, and where the runs write."""

    weights: Path
    items: list[Item]
    root: Path

    def run(
        self,
        name: str,
        settings: Recipe,
        team: Team,
        ceiling: float = 1e9,
        parent: str | None = None,
        on_step: Callable[[int], None] = lambda steps: None,
    ) -> None:
        """Train, from the checkpoint if there is one, and write what this process has to say: its adapter, and the
        bytes of the base that it held when."""
        torch.manual_seed(0)
        parent_change = self.root / parent / "0" if parent else None
        model = load_trainable(self.weights, parent_change, settings, team.device)
        # As on a GPU; the layers of the tiny founder are computed twice then.
        recompute(model, len(layers_of(model)))
        loaded = base_bytes(model)
        if team.size > 1:
            shard_base(model, team)
            torch.manual_seed(1 + team.rank)
        held = {"loaded": loaded, "split": base_bytes(model)}
        at_work: list[int] = []
        for layer in model.get_base_model().get_decoder().layers:
            layer.mlp.act_fn.register_forward_hook(lambda *_: at_work.append(base_bytes(model)))
        tokenizer = AutoTokenizer.from_pretrained(self.weights)
        examples = tokenize(exercises(self.items, "left out"), tokenizer, 64).examples
        batches = Batches(examples, settings.batch_size, 0, tokenizer.eos_token_id)
        checkpoint = self.root / name / "checkpoint"
        progress = train(model, batches, settings, Allowance("a test", ceiling), checkpoint, "run", on_step, team=team)
        held |= {"at work": max(at_work), "trained": base_bytes(model)}
        output = self.root / name / str(team.rank)
        export_adapter(model, settings.inherit, output)
        write_json(output / "said.json", held | {"computed": len(at_work), **_said(progress)})

    def adapter(self, name: str, rank: int = 0) -> dict[str, torch.Tensor]:
        return load_file(self.root / name / str(rank) / ADAPTER)

    def said(self, name: str, rank: int = 0) -> Any:
        return read_json(self.root / name / str(rank) / "said.json")


def _said(progress: Progress) -> dict[str, object]:
    losses = [row.loss for row in progress.log]
    return {"losses": losses, "steps": progress.step, "seconds": progress.device_seconds, "tokens": progress.tokens}


class CutOff(Exception):
    pass


def cut_off_after(steps: int) -> Callable[[int], None]:
    done = iter(range(steps))

    def on_step(more: int) -> None:
        if more and next(done) == steps - 1:
            raise CutOff

    return on_step


def runs(world: World, team: Team) -> None:
    """Every run that the tests look at: two processes are started once for all of them."""
    for base, settings in BASES.items():
        world.run(base, recipe(**settings), team)
    world.run("stack", recipe(quantize="nf4", inherit="stack", rank=4, alpha=8), team, parent="nf4")
    world.run("noise", recipe(dropout=0.3), team)
    with contextlib.suppress(CutOff):
        world.run("cut off", recipe(dropout=0.3), team, on_step=cut_off_after(5))  # its checkpoint is of the fourth
    world.run("cut off", recipe(dropout=0.3), team)
    world.run("ceiling", recipe(steps=100_000, checkpoint_every=100_000), team, ceiling=0.5)


@pytest.fixture(scope="module")
def world(tiny_weights: Path, tiny_items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tiny_weights, tiny_items, tmp_path_factory.mktemp("together"))
    run_on(StageMachine(count=SIZE), partial(runs, world))
    return world


@pytest.mark.parametrize("base", BASES)
def test_two_processes_train_what_one_does(world: World, tmp_path: Path, base: str) -> None:
    one = World(world.weights, world.items, tmp_path)
    one.run(base, recipe(**BASES[base]), alone(torch.device("cpu")))
    expected, found = one.adapter(base), world.adapter(base)
    distance = sum(float((found[name] - value).square().sum()) for name, value in expected.items()) ** 0.5
    assert distance < ROUNDING[base] * sum(float(value.square().sum()) for value in expected.values()) ** 0.5
    assert world.said(base)["losses"] == pytest.approx(one.said(base)["losses"], rel=ROUNDING[base])
    assert world.said(base)["tokens"] == one.said(base)["tokens"]


def test_every_process_ends_with_the_same_bytes(world: World) -> None:
    for name in (*BASES, "stack", "noise", "cut off", "ceiling"):
        first, second = ((world.root / name / str(rank) / ADAPTER).read_bytes() for rank in range(SIZE))
        assert first == second, name


@pytest.mark.parametrize("base", BASES)
def test_each_process_holds_half_of_the_frozen_layers(world: World, base: str) -> None:
    shape = shape_of_directory(world.weights)
    wide = stream_bytes(recipe(**BASES[base]))
    layers = split_bytes(shape, "float32" if base == "none" else "nf4")
    norms = 2 * shape.hidden * wide * shape.layers
    for rank in range(SIZE):
        held = world.said(base, rank)
        assert held["loaded"] == layers + wide * shape.other_parameters
        assert held["split"] == held["trained"] == held["loaded"] - (layers + norms) / SIZE
        # Only one of the layers is whole at a time: the one at work.
        assert held["at work"] == held["split"] + (layers + norms) / SIZE / shape.layers
        assert held["computed"] == shape.layers * 2 * STEPS * 2  # two parts a step, each again in the backward pass


def test_a_stacked_child_is_exported_from_a_split_base(world: World) -> None:
    parent, child = world.adapter("nf4"), world.adapter("stack")
    name = next(name for name in child if name.endswith("lora_A.weight"))
    scale = recipe().alpha / recipe().rank
    assert torch.equal(child[name][: len(parent[name])], scale * parent[name])
    assert child[name].shape[0] == parent[name].shape[0] + 4


def test_a_resumed_run_draws_on_as_if_it_had_never_stopped(world: World) -> None:
    """Dropout included, which differs from process to process."""
    assert world.said("noise")["losses"] != world.said("none")["losses"]
    assert [entry.name for entry in (world.root / "cut off").iterdir()].count("checkpoint") == 1
    for name, value in world.adapter("noise").items():
        assert torch.equal(world.adapter("cut off")[name], value)


def test_all_stop_at_one_ceiling_of_all_their_seconds(world: World) -> None:
    first, second = (world.said("ceiling", rank) for rank in range(SIZE))
    assert first["steps"] == second["steps"] < 100_000
    assert first["seconds"] == second["seconds"] >= 0.5
