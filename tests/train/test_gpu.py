"""Training on a GPU: in 16 bits, in the memory that there is, and as on a CPU where it is in float32."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.gpu_models import liger
from lamarck.budget.memory import training_memory
from lamarck.budget.shape import shape_of_directory
from lamarck.budget.work import rows_at_once
from lamarck.config import Recipe
from lamarck.curriculum.item import Item
from lamarck.gate.allowance import Allowance
from lamarck.train import memory
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.graphs import use_graphs
from lamarck.train.liger import liger_version, use_liger
from lamarck.train.loop import answer_loss, train
from lamarck.train.memory import fit_memory, layers_of
from lamarck.train.model import load_trainable
from lamarck.train.team import alone
from tests.gpu import needs_gpu
from tests.train.test_precision import Products

pytestmark = needs_gpu
GPU, CPU = torch.device("cuda"), torch.device("cpu")
KERNELS = {f"_scaled_dot_product_{name}_attention" for name in ("flash", "cudnn", "efficient")}
STEPS = 12
PLAIN = Recipe(steps=STEPS, batch_size=8, learning_rate=1e-2, warmup_steps=0, decay_share=0)
SIXTEEN = PLAIN.model_copy(update={"dtype": "bfloat16"})
QUANTISED = SIXTEEN.model_copy(update={"quantize": "nf4", "dropout": 0.05})


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """What Liger replaces, in every Llama of the process."""
    with liger():
        yield


@pytest.fixture
def batches(tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast) -> Batches:
    return Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)


def losses(
    weights: Path,
    recipe: Recipe,
    device: torch.device,
    batches: Batches,
    directory: Path,
    captured: list[torch.Size] | None = None,
) -> list[float]:
    """`captured`: gets the shapes of the passes that are replayed; none is when it is left out."""
    torch.manual_seed(0)
    model = load_trainable(weights, None, recipe, device)
    recomputed = fit_memory(model, recipe, alone(device))
    if captured is not None:
        assert use_graphs(model, recipe, alone(device), recomputed)
    checkpoint = directory / "checkpoint"
    progress = train(model, batches, recipe, Allowance("a test", 1e9), checkpoint, "run", lambda steps: None)
    if captured is not None:
        captured += model.get_base_model().get_decoder().forward.graphs  # type: ignore[operator]
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
    # A kernel that keeps no matrix of length squared: PyTorch chooses among several.
    assert {name for name, _ in seen.products if "attention" in name} & KERNELS


def test_layers_are_computed_twice_where_memory_asks_for_it(
    tiny_weights: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, rows = shape_of_directory(tiny_weights), rows_at_once(QUANTISED.batch_size)
    gradients = []
    for count in range(shape.layers):  # the last one stays: it would be whole again at once
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


@pytest.mark.parametrize("recipe", [SIXTEEN, QUANTISED], ids=["none", "nf4"])
def test_replayed_passes_learn_what_others_do(
    tiny_weights: Path, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    """Several shapes, and several parts a step, whose gradients are summed."""
    captured: list[torch.Size] = []
    replayed = losses(tiny_weights, recipe, GPU, batches, tmp_path, captured)
    assert len(set(captured)) == len(captured) > 1
    plain = losses(tiny_weights, recipe, GPU, batches, tmp_path)
    # A graph's luck is its generator's at the same place, but kernels for longer rows draw it in another order.
    assert replayed == pytest.approx(plain, rel=1e-2 if recipe.dropout == 0 else 0.3)
    assert replayed[-1] < replayed[0] - 0.2


def test_a_step_that_is_replayed_has_the_same_gradients(tiny_weights: Path, batches: Batches) -> None:
    torch.manual_seed(0)
    made = load_trainable(tiny_weights, None, SIXTEEN, GPU).train()
    trained = [value for value in made.parameters() if value.requires_grad]

    def gradients() -> torch.Tensor:
        for value in trained:
            value.grad = None
        for inputs, labels, share in batches.parts(0):
            (share * answer_loss(made, inputs.to(GPU), labels.to(GPU))).backward()
        return torch.cat([value.grad.flatten() for value in trained if value.grad is not None])

    plain = gradients()
    assert use_graphs(made, SIXTEEN, alone(GPU), 0)
    for _ in range(2):  # the first captures
        assert torch.allclose(gradients(), plain, rtol=2e-2, atol=1e-3 * float(plain.abs().max()))


def test_liger_computes_the_same_loss(tiny_weights: Path, batches: Batches) -> None:
    made = load_trainable(tiny_weights, None, PLAIN, GPU)
    if not liger_version(made.get_base_model().config, SIXTEEN, GPU):
        pytest.skip("Liger is not installed: envs/liger.txt")
    inputs, labels = (each.to(GPU) for each in batches.at(0))
    plain = answer_loss(made, inputs, labels).item()
    use_liger(made.get_base_model())
    assert answer_loss(made, inputs, labels).item() == pytest.approx(plain, rel=1e-4)
