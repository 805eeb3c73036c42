"""In 16 bits: what is computed in which type, that it is learned, and that what saves time changes no result."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedTokenizerFast

from lamarck.config import Recipe
from lamarck.curriculum.item import Item
from lamarck.gate.allowance import Allowance
from lamarck.models.adapters import fuse_adapters, unpack_once
from lamarck.train import head, loop, model
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.loop import answer_loss, train
from lamarck.train.memory import recompute
from lamarck.train.model import export_adapter, load_trainable

CPU = torch.device("cpu")
STEPS = 12
SIXTEEN = Recipe(dtype="bfloat16", steps=STEPS, batch_size=8, learning_rate=1e-2, warmup_steps=0, decay_share=0)
QUANTISED = SIXTEEN.model_copy(update={"quantize": "nf4"})


@pytest.fixture
def batches(tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast) -> Batches:
    return Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)


def losses(weights: Path, batches: Batches, directory: Path) -> list[float]:
    torch.manual_seed(0)
    trained = load_trainable(weights, None, SIXTEEN, CPU)
    checkpoint = directory / "checkpoint"
    progress = train(trained, batches, SIXTEEN, Allowance("a test", 1e9), checkpoint, "run", lambda steps: None)
    return [row.loss for row in progress.log]


def test_what_is_learned_in_16_bits_is_seen_by_the_next_step(
    tiny_weights: Path, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong implementation: one autocast around the whole loop, whose cache keeps the adapters as they began."""
    around = torch.autocast("cpu", torch.bfloat16)
    alone = losses(tiny_weights, batches, tmp_path)
    assert alone[-1] < alone[0] - 0.2
    with around:
        assert losses(tiny_weights, batches, tmp_path) == alone
    monkeypatch.setattr(loop, "_products_in", lambda *_: nullcontext())
    monkeypatch.setattr(model, "fuse_adapters", lambda _: None)
    with around:
        wrong = losses(tiny_weights, batches, tmp_path)
    assert wrong[0] == pytest.approx(alone[0], abs=0.02)
    assert wrong[-1] > wrong[0] - 0.1


class Products(TorchDispatchMode):
    """Types of what is multiplied with a weight, normed, and made a probability, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[str, torch.dtype]] = []
        self.norms: set[torch.dtype] = set()
        self.losses: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        name = function.overloadpacket.__name__
        tensors = [each for each in arguments if isinstance(each, torch.Tensor) and each.is_floating_point()]
        # The angles of positions are an outer product, of an inner width of one.
        if name in ("mm", "bmm", "addmm", "addmm_", "baddbmm_") and tensors[-1].shape[-2] > 1:
            self.products += [(name, each.dtype) for each in tensors]
        elif "attention" in name:  # queries, keys and values, or their gradients; the sums in it are float32
            self.products += [(name, each.dtype) for each in tensors[:3]]
        elif name == "gemm_4bit":  # what it reads; the weight's constants are float32
            self.products.append((name, tensors[0].dtype))
        if name == "rsqrt":
            self.norms |= {each.dtype for each in tensors}
        if name == "_log_softmax":
            self.losses |= {each.dtype for each in tensors}
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("recipe", [SIXTEEN, QUANTISED], ids=["none", "nf4"])
def test_no_product_is_computed_in_float32(tiny_weights: Path, batches: Batches, recipe: Recipe) -> None:
    """The wrong implementation: PEFT's preparation of quantised bases, which makes the rest of the model float32."""
    made = load_trainable(tiny_weights, None, recipe.model_copy(update={"dropout": 0.1}), CPU).train()
    stream = []
    for layer in made.get_base_model().get_decoder().layers:
        layer.register_forward_hook(lambda _, inputs, output: stream.extend([inputs[0].dtype, output.dtype]))
    with Products() as seen:
        answer_loss(made, *batches.at(0)).backward()
    wide = {name for name, dtype in seen.products if dtype != torch.bfloat16}
    assert len(seen.products) > 100 and not wide
    assert set(stream) == {torch.bfloat16}
    assert seen.norms == seen.losses == {torch.float32}
    for name, value in made.named_parameters():
        kept = torch.float32 if value.requires_grad else torch.bfloat16
        assert value.dtype == kept, name
        assert value.grad is None or value.grad.dtype == torch.float32


def gradients(made: Any, batches: Batches, seed: int = 0) -> tuple[float, list[torch.Tensor]]:
    torch.manual_seed(seed)
    trained = [value for value in made.parameters() if value.requires_grad]
    loss = answer_loss(made.train(), *batches.at(0))
    return loss.item(), list(torch.autograd.grad(loss, trained))


def drawn(made: Any) -> Any:
    """An adapter as it is in the middle of a training: the second matrix of a new one is zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1)
    return made


@pytest.mark.parametrize("change", [{}, {"quantize": "nf4", "dropout": 0.2}, {"inherit": "stack"}], ids=str)
def test_fused_adapters_are_those_of_peft(
    tiny_weights: Path, batches: Batches, tmp_path: Path, change: dict[str, object]
) -> None:
    recipe = Recipe(rank=4, alpha=12).model_copy(update=change)
    export_adapter(drawn(load_trainable(tiny_weights, None, Recipe(rank=8), CPU)), "continue", tmp_path)
    parent = tmp_path if recipe.inherit == "stack" else None
    made = drawn(load_trainable(tiny_weights, parent, recipe, CPU))
    expected, slopes = gradients(made, batches)
    fuse_adapters(made)
    found, fused = gradients(made, batches)
    assert found == pytest.approx(expected, rel=1e-6)
    for one, other in zip(fused, slopes, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


class Allocated(TorchDispatchMode):
    """Counts the tensors of `size` values that are not one of an operation's own arguments, or a view of it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.count = size, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        given = {each.data_ptr() for each in arguments if isinstance(each, torch.Tensor)}
        result = function(*arguments, **(keywords or {}))
        if isinstance(result, torch.Tensor) and result.numel() == self.size:
            self.count += result.data_ptr() not in given
        return result


def test_fused_adapters_write_no_tensor_beside_the_layers_own(tiny_weights: Path) -> None:
    layer = load_trainable(tiny_weights, None, QUANTISED, CPU).get_base_model().get_decoder().layers[0].mlp.up_proj
    inputs = torch.zeros(2, 50, layer.in_features, dtype=torch.bfloat16)
    counts = []
    for forward in (layer.forward, type(layer).forward.__get__(layer)):
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), Allocated(100 * layer.out_features) as wide:
            forward(inputs)
        counts.append(wide.count)
    assert counts == [1, 5]  # PEFT: the layer's, a copy, the adapter's, that scaled, and the sum


@pytest.mark.parametrize("recipe", [Recipe(dropout=0.2), QUANTISED], ids=["float32", "16 bits"])
def test_a_layer_that_is_computed_again_has_the_same_gradients(
    tiny_weights: Path, batches: Batches, recipe: Recipe
) -> None:
    made = drawn(load_trainable(tiny_weights, None, recipe, CPU))
    layers = made.get_base_model().get_decoder().layers
    expected, slopes = gradients(made, batches)
    computed: list[int] = []
    for place, layer in enumerate(layers):
        layer.mlp.act_fn.register_forward_hook(lambda *_, place=place: computed.append(place))
    for count, order in ((1, [0, 1, 0]), (2, [0, 1, 1, 0])):
        computed.clear()
        recompute(made, count)
        found, again = gradients(made, batches)
        assert computed == order
        assert found == expected
        assert all(torch.equal(one, other) for one, other in zip(again, slopes, strict=True))


class Unpackings(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        self.count += function.overloadpacket.__name__ in ("dequantize_4bit", "gemm_4bit")
        return function(*arguments, **(keywords or {}))


def test_weights_of_a_layer_that_is_computed_again_are_unpacked_once_for_that_and_the_gradients(
    tiny_weights: Path, batches: Batches
) -> None:
    made = drawn(load_trainable(tiny_weights, None, QUANTISED.model_copy(update={"dropout": 0.2}), CPU))
    layers = made.get_base_model().get_decoder().layers
    recompute(made, len(layers))
    with Unpackings() as three:
        expected, slopes = gradients(made, batches)
    for layer in layers:
        unpack_once(layer)
    with Unpackings() as two:
        found, again = gradients(made, batches)
    # Nothing before the first layer's attention is trained: three of its seven weights meet no gradient.
    assert (three.count, two.count) == (3 * 14 - 3, 2 * 14)
    assert found == pytest.approx(expected, rel=1e-3)
    for one, other in zip(again, slopes, strict=True):
        assert torch.allclose(one, other, rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("recipe", [Recipe(), SIXTEEN], ids=["float32", "16 bits"])
def test_a_loss_in_slices_is_that_of_all_logits(
    tiny_weights: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    made = drawn(load_trainable(tiny_weights, None, recipe, CPU))
    expected, slopes = gradients(made, batches)
    head_of = made.get_base_model().get_output_embeddings()
    rows: list[int] = []
    head_of.register_forward_hook(lambda _, inputs, output: rows.append(len(inputs[0])))
    monkeypatch.setattr(head, "LOGITS_AT_ONCE", 10 * head_of.out_features)
    found, sliced = gradients(made, batches)
    assert len(rows) > 2 and set(rows[:-1]) == {10} and rows[-1] <= 10
    close = 1e-5 if recipe.dtype == "float32" else 2e-2
    assert found == pytest.approx(expected, rel=close)
    for one, other in zip(sliced, slopes, strict=True):
        assert torch.allclose(one, other, rtol=close, atol=close * float(other.abs().max()))
