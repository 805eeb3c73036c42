"""Training on a GPU: in 16 bits, in the memory that there is, and as on a CPU where it is in float32."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from lamarck.budget.memory import training_memory
from lamarck.budget.shape import shape_of_directory
from lamarck.budget.work import rows_at_once
from lamarck.config import Recipe
from lamarck.curriculum.item import Item
from lamarck.gate.allowance import Allowance
from lamarck.train import memory
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.liger import liger_version, use_liger
from lamarck.train.loop import answer_loss, train
from lamarck.train.memory import fit_memory, layers_of
from lamarck.train.model import load_trainable
from lamarck.train.team import alone
from tests.gpu import needs_gpu
from tests.train.test_precision import Products

pytestmark = needs_gpu
GPU, CPU = torch.device("cuda"), torch.device("cpu")
STEPS = 12
PLAIN = Recipe(steps=STEPS, batch_size=8, learning_rate=1e-2, warmup_steps=0, decay_share=0)
SIXTEEN = PLAIN.model_copy(update={"dtype": "bfloat16"})
QUANTISED = SIXTEEN.model_copy(update={"quantize": "nf4", "dropout": 0.05})


@pytest.fixture
def batches(tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast) -> Batches:
    return Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)


def losses(weights: Path, recipe: Recipe, device: torch.device, batches: Batches, directory: Path) -> list[float]:
    torch.manual_seed(0)
    model = load_trainable(weights, None, recipe, device)
    fit_memory(model, recipe, alone(device))
    checkpoint = directory / "checkpoint"
    progress = train(model, batches, recipe, Allowance("a test", 1e9), checkpoint, "run", lambda steps: None)
    return [row.loss for row in progress.log]


def test_in_float32_it_learns_what_a_cpu_does(tiny_weights: Path, batches: Batches, tmp_path: Path) -> None:
    found, expected = (losses(tiny_weights, PLAIN, device, batches, tmp_path) for device in (GPU, CPU))
    assert found == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("recipe", [SIXTEEN, QUANTISED], ids=["none", "nf4"])
def test_in_16_bits_it_learns(tiny_weights: Path, batches: Batches, tmp_path: Path, recipe: Recipe) -> None:
    found = losses(tiny_weights, recipe, GPU, batches, tmp_path)
    assert found[-1] < found[0] - 0.2


@pytest.mark.parametrize("recipe", [SIXTEEN, QUANTISED], ids=["none", "nf4"])
def test_no_product_is_computed_in_float32(tiny_weights: Path, batches: Batches, recipe: Recipe) -> None:
    made = load_trainable(tiny_weights, None, recipe, GPU).train()
    inputs, labels = batches.at(0)
    with Products() as seen:
        answer_loss(made, inputs.to(GPU), labels.to(GPU)).backward()
    assert not {name for name, dtype in seen.products if dtype != torch.bfloat16}
    # The kernel that keeps no matrix of length squared.
    assert any("flash" in name for name, _ in seen.products)


def test_layers_are_computed_twice_where_memory_asks_for_it(
    tiny_weights: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, rows = shape_of_directory(tiny_weights), rows_at_once(QUANTISED.batch_size)
    gradients = []
    for count in range(shape.layers + 1):
        room = training_memory(shape, QUANTISED, rows, count).with_reserve().total / memory.ROOM + 1
        monkeypatch.setattr(memory, "room_on", lambda _, room=room: room)
        torch.manual_seed(0)
        made = load_trainable(tiny_weights, None, QUANTISED, GPU).train()
        assert fit_memory(made, QUANTISED, alone(GPU)) == count
        assert [layer.gradient_checkpointing for layer in layers_of(made)].count(True) == count
        torch.manual_seed(1)
        inputs, labels = batches.at(0)
        answer_loss(made, inputs.to(GPU), labels.to(GPU)).backward()
        gradients.append(torch.cat([value.grad.flatten() for value in made.parameters() if value.grad is not None]))
    for other in gradients[1:]:
        assert torch.allclose(gradients[0], other, rtol=1e-2, atol=1e-5)


def test_liger_computes_the_same_loss(tiny_weights: Path, batches: Batches) -> None:
    """The last of this file: Liger replaces parts of every Llama in the process."""
    made = load_trainable(tiny_weights, None, PLAIN, GPU)
    if not liger_version(made.get_base_model().config, SIXTEEN, GPU):
        pytest.skip("Liger is not installed: envs/liger.txt")
    inputs, labels = (each.to(GPU) for each in batches.at(0))
    plain = answer_loss(made, inputs, labels).item()
    use_liger(made.get_base_model())
    assert answer_loss(made, inputs, labels).item() == pytest.approx(plain, rel=1e-4)
