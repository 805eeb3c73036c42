"""The context-frozen loss against transformers' own loss, and its gradient against a full pass with constants in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.profiler import ProfilerActivity, profile
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

from lamarck.errors import LamarckError
from lamarck.train.context import IGNORED, context_frozen_loss, freeze_contexts, train_queries_only

VOCABULARY = 40
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def llama(tied: bool = False) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=tied))


def recomputing() -> LlamaForCausalLM:
    model = llama()
    model.activation_checkpointing_enable({"use_reentrant": False})
    return model


def with_lora(recompute: bool = False) -> Any:
    model = get_peft_model(recomputing() if recompute else llama(), LoraConfig(r=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zeros: the adapter would do nothing
                parameter.normal_(std=0.1)
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "grouped queries": llama,
    "tied": lambda: llama(tied=True),
    "recomputed": recomputing,
    "lora": with_lora,
    "lora, recomputed": lambda: with_lora(recompute=True),
    "norms of heads": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8)),
    "window of 5": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=5)),
    "learned positions": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    ),
}


def made(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():  # as they are drawn, attention is nearly even, and nothing would be seen of a mistake
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6 if parameter.shape[0] != VOCABULARY else 1)
    return model.train()


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four rows, padded; contexts of 12, 1, 0 and 7 tokens. Behind the first, two tokens that are read, not learned."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(2, VOCABULARY, (4, 20), generator=generator)
    contexts = torch.tensor([12, 1, 0, 7])
    ends = torch.tensor([20, 9, 15, 17])
    starts = contexts + torch.tensor([2, 0, 3, 0])
    places = torch.arange(20)
    inputs = inputs.masked_fill(places >= ends[:, None], 0)
    labels = inputs.masked_fill((places < starts[:, None]) | (places >= ends[:, None]), IGNORED)
    return inputs, labels, contexts


@contextmanager
def constant_keys_and_values(model: Any, contexts: torch.Tensor) -> Iterator[None]:
    """An ordinary pass, in which keys and values of all but the last context position are detached as they are made."""

    def detach(module: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        constant = torch.arange(output.shape[1]) < contexts[:, None] - 1
        return torch.where(constant.view(*constant.shape, *[1] * (output.dim() - 2)), output.detach(), output)

    def detach_fused(module: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        query, key, value = output.chunk(3, dim=-1)
        return torch.cat([query, detach(module, (), key), detach(module, (), value)], dim=-1)

    layers = [
        (module, detach_fused if name.endswith("c_attn") else detach)
        for name, module in model.named_modules()
        if name.endswith(("k_proj", "k_norm", "v_proj", "c_attn"))
    ]
    hooks = [module.register_forward_hook(hook) for module, hook in layers]
    yield
    for hook in hooks:
        hook.remove()


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """Largest difference of any number, in units of the largest of its weight's gradient."""
    assert first.keys() == second.keys()
    return max(float((first[n] - second[n]).abs().max() / second[n].abs().max().clamp(min=1e-3)) for n in first)


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_that_of_masked_training(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    model = made(name).double()
    inputs, labels, contexts = batch
    expected = model(input_ids=inputs, labels=labels).loss.item()
    freeze_contexts(model)
    assert context_frozen_loss(model, inputs, labels, contexts).item() == pytest.approx(expected, abs=1e-5)
    # With the context cut off it would be another: that is a test of the test.
    alone = context_frozen_loss(model, inputs[:1, 11:], labels[:1, 11:], torch.tensor([0])).item()
    whole = context_frozen_loss(model, inputs[:1], labels[:1], contexts[:1]).item()
    assert abs(alone - whole) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_that_of_constant_keys_and_values(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    model = made(name).double()  # so that what differs is no rounding
    inputs, labels, contexts = batch
    plain = gradients(model, model(input_ids=inputs, labels=labels).loss)
    with constant_keys_and_values(model, contexts):
        expected = gradients(model, model(input_ids=inputs, labels=labels).loss)
    freeze_contexts(model)
    found = gradients(model, context_frozen_loss(model, inputs, labels, contexts))
    assert distance(found, expected) <= 1e-5
    assert distance(found, plain) > 1e-2
    # Were the last context position a constant too, it would be another gradient.
    with constant_keys_and_values(model, contexts + 1):
        assert distance(gradients(model, model(input_ids=inputs, labels=labels).loss), found) > 1e-3


def test_under_autocast_every_weight_has_its_gradient(batch: tuple[torch.Tensor, ...]) -> None:
    model = made("grouped queries")
    freeze_contexts(model)
    exact = gradients(model, context_frozen_loss(model, *batch))
    with torch.autocast("cpu", torch.bfloat16):
        loss = context_frozen_loss(model, *batch)
    found = gradients(model, loss)
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        assert torch.nn.functional.cosine_similarity(found[name].flatten(), value.flatten(), dim=0) > 0.95, name


def test_a_batch_without_contexts_is_ordinary_training(batch: tuple[torch.Tensor, ...]) -> None:
    model = made("grouped queries")
    inputs, labels, _ = batch
    plain = gradients(model, model(input_ids=inputs, labels=labels).loss)
    freeze_contexts(model)
    loss = context_frozen_loss(model, inputs, labels, torch.zeros(4, dtype=torch.long))
    assert distance(gradients(model, loss), plain) <= 1e-5


def test_the_first_decision_is_predicted_from_the_last_context_position() -> None:
    """With one decision, its logits are those of that position; only its token's row of the embedding is trained."""
    model = made("grouped queries")
    freeze_contexts(model)
    inputs = torch.arange(10, 18)[None]
    labels = torch.full_like(inputs, IGNORED)
    labels[0, 7] = 17
    logits = model(input_ids=inputs).logits[0, 6]
    loss = context_frozen_loss(model, inputs, labels, torch.tensor([7]))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(17)).item()
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    loss.backward()
    touched = model.get_input_embeddings().weight.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    # The decision itself is fed too, to no end: nothing behind it is learned.
    assert touched == [16]


def test_rows_that_only_the_context_uses_stay_bit_equal(batch: tuple[torch.Tensor, ...]) -> None:
    def moved(frozen: bool) -> set[int]:
        model = made("grouped queries")
        freeze_contexts(model)
        inputs, labels = torch.arange(2, 22)[None], torch.arange(2, 22)[None].clone()
        labels[:, :12] = IGNORED
        before = model.get_input_embeddings().weight.detach().clone()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0)
        for _ in range(3):
            optimizer.zero_grad()
            context_frozen_loss(model, inputs, labels, torch.tensor([12 if frozen else 0])).backward()
            optimizer.step()
        changed = (model.get_input_embeddings().weight != before).any(dim=1)
        return set(changed.nonzero().flatten().tolist())

    # Tokens 2 to 13 are the context; the last of them is the first decision position. The last token decides nothing.
    assert moved(frozen=True) == set(range(13, 21))
    assert moved(frozen=False) == set(range(2, 21))


def held(model: Any, loss: Callable[[], torch.Tensor]) -> int:
    """Bytes that a loss still holds when it has been computed: its graph, and whatever the graph needs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = loss()
    total = sum(event.self_cpu_memory_usage for event in profiler.events())
    del kept
    return total


@pytest.mark.parametrize("name", ["grouped queries", "recomputed"])
def test_activations_do_not_grow_with_the_context(name: str) -> None:
    model = made(name)
    freeze_contexts(model)
    keys_and_values = 2 * SHAPE["num_hidden_layers"] * SHAPE["num_key_value_heads"] * 8 * 4

    def bytes_of(length: int, frozen: bool) -> int:
        inputs = torch.randint(2, VOCABULARY, (1, length + 16), generator=torch.Generator().manual_seed(0))
        labels = inputs.masked_fill(torch.arange(length + 16) < length, IGNORED)
        contexts = torch.tensor([length if frozen else 0])
        return held(model, lambda: context_frozen_loss(model, inputs, labels, contexts))

    bytes_of(64, True)
    growth = (bytes_of(512, True) - bytes_of(64, True)) / 448
    # The constants themselves, once, and nothing beside them.
    assert growth == pytest.approx(keys_and_values, rel=0.02)
    if name == "grouped queries":
        assert (bytes_of(512, False) - bytes_of(64, False)) / 448 > 10 * keys_and_values


def test_layers_with_a_state_of_their_own_are_refused() -> None:
    hybrid = Qwen3NextConfig(
        **SHAPE,
        head_dim=8,
        layer_types=["linear_attention", "linear_attention", "full_attention"],
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    )
    with pytest.raises(LamarckError, match=r"layers of linear_attention.*train it with the plain loss$"):
        freeze_contexts(Qwen3NextForCausalLM(hybrid))
    recurrent = MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4))
    with pytest.raises(LamarckError, match=r"train it with the plain loss$"):
        freeze_contexts(recurrent)


def test_a_head_that_is_scaled_is_refused() -> None:
    """Its loss would be another than the model's own."""

    def granite(scale: float) -> GraniteForCausalLM:
        torch.manual_seed(0)
        model = GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=scale))
        torch.nn.init.normal_(model.get_output_embeddings().weight)  # opinions, as of a model that has learned
        return model

    with pytest.raises(LamarckError, match="its attention or its head is of a kind that is not known here"):
        freeze_contexts(granite(4.0))
    freeze_contexts(granite(1.0))


def test_queries_alone_can_be_trained(batch: tuple[torch.Tensor, ...]) -> None:
    model = made("grouped queries")
    freeze_contexts(model)
    chosen = train_queries_only(model)
    assert chosen == [f"model.layers.{layer}.self_attn.q_proj.weight" for layer in range(3)]
    found = gradients(model, context_frozen_loss(model, *batch))
    assert set(found) == set(chosen)
    with pytest.raises(LamarckError, match="q_proj"):
        train_queries_only(made("learned positions"))
