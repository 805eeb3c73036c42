"""What lamarck.budget counts, against models that the real libraries make: exact, or with the error given here."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from lamarck.budget.memory import (
    cache_bytes,
    layer_activation_bytes,
    logits_bytes,
    rounded_adapter_bytes,
    stream_bytes,
    training_bytes,
    training_memory,
    weight_bytes,
)
from lamarck.budget.shape import Shape, shape_of_directory, shape_of_founder
from lamarck.config import Recipe, load_config
from lamarck.config.founder import HubFounder
from lamarck.train.loop import answer_loss
from lamarck.train.memory import recompute
from lamarck.train.model import load_trainable
from lamarck.train.optimizer import build_optimizer, grouped, state_bytes

SMALL = Shape(
    hidden=128, layers=3, heads=4, kv_heads=4, head_size=32, intermediate=256, vocabulary=512, context=256, tied=True
)
GROUPED = Shape(hidden=256, layers=2, heads=8, kv_heads=2, head_size=32, intermediate=896, vocabulary=1024, context=256)
RECIPE = Recipe(rank=16, alpha=32)
LLAMA_70B = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"
CPU = torch.device("cpu")
TOKENS = 192


def llama(shape: Shape) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_size,
            intermediate_size=shape.intermediate,
            max_position_embeddings=shape.context,
            tie_word_embeddings=shape.tied,
        )
    )


def hub_shape(repo: str) -> Shape:
    return shape_of_founder(HubFounder(kind="hub", repo=repo, revision="0" * 40), Path("nowhere"))


@pytest.mark.parametrize("shape", [SMALL, GROUPED, hub_shape(LLAMA_70B).model_copy(update={"layers": 2})], ids=str)
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj", "down_proj")])
def test_parameters_are_those_of_transformers_and_of_peft(shape: Shape, targets: str | tuple[str, ...]) -> None:
    with torch.device("meta"):
        model = llama(shape)
        counted = sum(value.numel() for value in model.parameters())
        names = targets if isinstance(targets, str) else list(targets)
        adapted = get_peft_model(model, LoraConfig(r=16, target_modules=names, task_type="CAUSAL_LM"))
    trained = sum(value.numel() for value in adapted.parameters() if value.requires_grad)
    assert shape.parameters == counted
    assert shape.lora_parameters(16, targets) == trained


def test_the_original_has_as_many_parameters_as_its_model_card_says() -> None:
    assert hub_shape(LLAMA_70B).parameters == 70_553_706_496


def test_a_shape_is_read_as_transformers_writes_it(tmp_path: Path) -> None:
    llama(GROUPED).config.save_pretrained(tmp_path)
    assert shape_of_directory(tmp_path) == GROUPED


def test_the_tiny_founders_shape_is_known_before_it_is_pretrained() -> None:
    shape = shape_of_founder(load_config(Path("config/default.yaml")).founder, Path("nowhere"))
    assert (shape.vocabulary, shape.parameters) == (131, 123_392)


def test_nf4_takes_the_bytes_that_bitsandbytes_makes(tmp_path: Path) -> None:
    """Exact, but for a code table of 64 + 1024 bytes and an offset of 4 a tensor, which do not grow with the model."""
    llama(GROUPED).save_pretrained(tmp_path)
    recipe = RECIPE.model_copy(update={"quantize": "nf4"})
    model = load_trainable(tmp_path, None, recipe, CPU)
    real = 0
    for name, value in model.named_parameters():
        if "lora" in name:
            continue
        real += value.nbytes
        if state := getattr(value, "quant_state", None):
            real += state.absmax.nbytes + state.state2.absmax.nbytes
    assert real == weight_bytes(GROUPED, "nf4", 4)


def test_the_cache_takes_the_bytes_that_transformers_keeps() -> None:
    model = llama(GROUPED).to(torch.bfloat16)
    cache = model(torch.arange(40).reshape(2, 20), use_cache=True).past_key_values
    assert sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) == 40 * cache_bytes(GROUPED)


@pytest.mark.parametrize("shape", [SMALL, GROUPED])
def test_the_adapter_in_training_takes_weights_gradients_and_two_moments(shape: Shape, tmp_path: Path) -> None:
    llama(shape).save_pretrained(tmp_path)
    model = load_trainable(tmp_path, None, RECIPE, CPU)
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    tokens = torch.arange(64).reshape(2, 32)
    answer_loss(model, tokens, tokens).backward()
    optimizer.step()
    moments = sum(state[name].nbytes for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq"))
    real = moments + sum(value.nbytes + value.grad.nbytes for value in trained if value.grad is not None)
    assert real == training_bytes(shape, RECIPE)


@pytest.mark.parametrize(
    ("optimizer", "trained"), [("adamw", "all"), ("apollo", "all"), ("apollo-mini", "all"), ("apollo", "queries")]
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_whole_weights_in_training_take_gradients_and_the_optimizers_state(
    dtype: str, optimizer: str, trained: str, tmp_path: Path
) -> None:
    llama(GROUPED).save_pretrained(tmp_path)
    settings = {"form": "delta", "dtype": dtype, "optimizer": {"kind": optimizer}, "trained": trained}
    recipe = Recipe.model_validate(settings)
    model = load_trainable(tmp_path, None, recipe, CPU)
    made = build_optimizer(grouped(model), recipe.optimizer, 1e-3, 0.98, 0.0, 0)
    tokens = torch.arange(64).reshape(2, 32)
    answer_loss(model, tokens, tokens).backward()
    made.step()
    updated = [value for value in model.parameters() if value.requires_grad]
    steps = 4 * len(updated)
    real = state_bytes(made) - steps + sum(value.grad.nbytes for value in model.parameters() if value.grad is not None)
    # While one weight is updated in 16 bits, it and its gradient are in float32.
    passing = 0 if dtype == "float32" else 8 * max(value.numel() for value in updated)
    assert real + passing == training_bytes(GROUPED, recipe)


def saved_bytes(model: torch.nn.Module, run: Callable[[], torch.Tensor]) -> int:
    """Bytes that autograd holds after a forward pass, each storage once, the model's own left out."""
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
    held: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = run()
        total = sum(size for size, _ in held.values())
    del loss
    return total


def layer_bytes(shape: Shape, recipe: Recipe, recomputed: int, directory: Path) -> float:
    """What one more layer makes autograd hold, in bytes a token: embedding, head and loss cancel."""
    held = []
    tokens = (torch.arange(TOKENS) % shape.vocabulary).reshape(2, -1)
    for layers in (2, 3):
        path = directory / str(layers)
        llama(shape.model_copy(update={"layers": layers})).save_pretrained(path)
        model = load_trainable(path, None, recipe, CPU)
        model.train()
        recompute(model, recomputed)
        held.append(saved_bytes(model, partial(answer_loss, model, tokens, tokens)))
    return (held[1] - held[0]) / tokens.numel()


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that PyTorch holds at once beyond what there was before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    changes = [each.nbytes() for each in seen.profiler.kineto_results.events() if each.name() == "[memory]"]
    return max(itertools.accumulate(changes))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_head_takes_most_where_the_loss_is_taken_back(dtype: str, tmp_path: Path) -> None:
    """Of so many words that nothing else counts."""
    shape = SMALL.model_copy(update={"vocabulary": 20_000, "layers": 1})
    llama(shape).save_pretrained(tmp_path)
    model = load_trainable(tmp_path, None, RECIPE.model_copy(update={"dtype": dtype}), CPU)
    tokens = torch.arange(TOKENS).reshape(2, -1)
    peak = peak_bytes(lambda: answer_loss(model, tokens, tokens).backward())
    assert peak == pytest.approx(logits_bytes(shape) * (TOKENS - 2), rel=0.1)


def test_the_peak_of_a_step_is_what_it_keeps_and_computes_again(tmp_path: Path) -> None:
    shape = GROUPED.model_copy(update={"layers": 6, "vocabulary": 4096})
    recipe = RECIPE.model_copy(update={"quantize": "nf4", "dtype": "bfloat16", "max_tokens": TOKENS // 2})
    llama(shape).save_pretrained(tmp_path)
    model = load_trainable(tmp_path, None, recipe, CPU).train()
    for value in model.parameters():
        value.grad = torch.zeros_like(value) if value.requires_grad else None  # counted with the adapter
    tokens = torch.arange(TOKENS).reshape(2, -1)
    for count in (0, 3, shape.layers):
        recompute(model, count)
        expected = training_memory(shape, recipe, 2, count)
        peak = peak_bytes(lambda: answer_loss(model, tokens, tokens).backward())
        assert peak == pytest.approx(expected.activations + expected.logits, rel=0.05), count


@pytest.mark.parametrize("shape", [SMALL, GROUPED])
def test_with_checkpointing_a_layer_leaves_its_input_alone(shape: Shape, tmp_path: Path) -> None:
    assert layer_bytes(shape, RECIPE, 3, tmp_path) == pytest.approx(shape.hidden * 4, rel=0.01)


@pytest.mark.parametrize("shape", [SMALL, GROUPED])
@pytest.mark.parametrize(
    "change",
    [{}, {"dropout": 0.05}, {"dtype": "bfloat16"}, {"dropout": 0.05, "dtype": "bfloat16", "quantize": "nf4"}],
    ids=str,
)
def test_what_is_saved_of_a_layer(shape: Shape, change: dict[str, object], tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update=change)
    real = layer_bytes(shape, recipe, 0, tmp_path) - rounded_adapter_bytes(shape, recipe) / shape.layers / TOKENS
    if recipe.dropout:
        # On a CPU a dropout's mask is as wide as its input, on a GPU a byte.
        real -= sum(linear.inputs for linear in shape.linears) * (stream_bytes(recipe) - 1)
    assert layer_activation_bytes(shape, recipe) == pytest.approx(real)
