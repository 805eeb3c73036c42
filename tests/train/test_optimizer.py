"""The optimizers on models: groups, 16-bit weights, bytes of state, resuming, bad gradients."""

import io
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from pydantic import TypeAdapter
from transformers import LlamaConfig, LlamaForCausalLM

from lamarck.budget.optimizer_state import optimizer_state, whole_weights
from lamarck.budget.shape import Shape
from lamarck.config.optimizer import AdamWSettings, ApolloMiniSettings, ApolloSettings, OptimizerSettings
from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.train.optimizer import (
    AdamW,
    build_optimizer,
    first_not_finite,
    grouped,
    round_stochastically,
    state_bytes,
    trained_weights,
)

APOLLO = {"kind": "apollo", "rank": 8, "renew_every": 3}
SETTINGS: dict[str, dict[str, Any]] = {
    "adamw": {"kind": "adamw"},
    "apollo": APOLLO,
    "apollo, everything": APOLLO | {"projected": ["embedding", "head", "matrices"], "growth_limit": None},
    "mini": {"kind": "apollo-mini", "renew_every": 3},
}


def settings_of(values: dict[str, Any]) -> Any:
    return TypeAdapter(OptimizerSettings).validate_python(values)


def llama(dtype: torch.dtype = torch.float32, tied: bool = False, layers: int = 2) -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(shape).to(dtype)


def build(model: torch.nn.Module, values: dict[str, Any]) -> AdamW:
    return build_optimizer(grouped(model), settings_of(values), 1e-2, 0.98, 0.1, 7)


def run(model: torch.nn.Module, optimizer: AdamW, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        tokens = torch.randint(0, 48, (4, 12), generator=generator)
        optimizer.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_groups_are_what_they_are_called() -> None:
    untied = {name: [each for each, _ in named] for name, named in grouped(llama()).items()}
    assert untied["embedding"] == ["model.embed_tokens.weight"]
    assert untied["head"] == ["lm_head.weight"]
    assert len(untied["matrices"]) == 2 * 7
    assert len(untied["scalars"]) == 2 * 2 + 1
    tied = grouped(llama(tied=True))
    assert [name for name, _ in tied["embedding"]] == ["model.embed_tokens.weight"]
    assert tied["head"] == []
    adapted = grouped(get_peft_model(llama(), LoraConfig(r=4, target_modules="all-linear")))
    assert len(adapted["matrices"]) == 2 * 7 * 2
    assert adapted["embedding"] == adapted["head"] == adapted["scalars"] == []


def test_each_group_has_its_own_rate_and_decay() -> None:
    """With a decay alone: no gradient, so that the weights shrink by exactly rate x decay."""
    values = {"kind": "adamw", "groups": {"head": {"rate": 0.5, "weight_decay": 0.2}, "matrices": {"rate": 2.0}}}
    model = llama()
    before = weights(model)
    optimizer = build(model, values)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = weights(model)
    shrunk = {
        "lm_head.weight": 0.5 * 0.2,
        "model.layers.0.mlp.up_proj.weight": 2.0 * 0.1,
        "model.embed_tokens.weight": 0.1,
        "model.norm.weight": 0.0,
    }
    for name, decay in shrunk.items():
        assert torch.allclose(after[name], before[name] * (1 - 1e-2 * decay), rtol=1e-6, atol=0), name


def test_adamw_of_float32_weights_is_torch_s_own() -> None:
    ours, theirs = llama(), llama()
    values = {"kind": "adamw", "groups": {"scalars": {"weight_decay": 0.1}}}
    run(ours, build(ours, values), range(5))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.1, fused=True)
    run(theirs, optimizer, range(5))  # type: ignore[arg-type]
    assert same(weights(ours), weights(theirs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_state_is_as_large_as_the_formula_says(name: str, dtype: torch.dtype) -> None:
    for rounding in ("masters", "stochastic"):
        model = llama(dtype)
        optimizer = build(model, SETTINGS[name] | {"sixteen_bit": rounding})
        run(model, optimizer, range(1))
        measured = state_bytes(optimizer)
        expected = optimizer_state(trained_weights(grouped(model)), optimizer.settings)
        assert measured == expected.total
        buffer = io.BytesIO()
        torch.save(optimizer.state_dict(), buffer)  # nor is the projection in what is written
        assert buffer.tell() < measured + 200_000


def test_the_state_of_mini_on_smollm2_135m() -> None:
    """By hand: 8 n bytes a matrix (n: 576 four times, 1536 three times) and 8 more; 30 layers; 61 norms by AdamW."""
    shape = Shape(
        hidden=576,
        layers=30,
        heads=9,
        kv_heads=3,
        head_size=64,
        intermediate=1536,
        vocabulary=49152,
        context=8192,
        tied=True,
    )
    state = optimizer_state(whole_weights(shape, 4), ApolloMiniSettings(kind="apollo-mini"))
    assert state.bytes["matrices"] == 30 * (8 * (4 * 576 + 3 * 1536) + 7 * 8) == 1_660_560
    assert state.bytes["scalars"] == 61 * (8 * 576 + 4) == 281_332
    assert state.bytes["embedding"] == 8 * 49152 * 576 + 4 == 226_492_420
    everything = ApolloMiniSettings(kind="apollo-mini", projected=("matrices", "embedding"))
    assert optimizer_state(whole_weights(shape, 4), everything).bytes["embedding"] == 8 * 49152 + 8
    assert optimizer_state(whole_weights(shape, 4), AdamWSettings()).total == 8 * shape.parameters + 4 * 272
    assert sum(weight.numbers for weight in whole_weights(shape, 4)) == shape.parameters == 134_515_008


def test_a_rank_above_a_matrix_is_cut_and_said() -> None:
    model = llama()
    found = optimizer_state(trained_weights(grouped(model)), ApolloSettings(kind="apollo", rank=20))
    assert set(found.clipped) == {
        f"model.layers.{layer}.self_attn.{name}_proj.weight" for layer in range(2) for name in "kv"
    }
    optimizer = build(model, APOLLO | {"rank": 20})
    run(model, optimizer, range(1))
    shapes = {name: tuple(optimizer.state[p]["first"].shape) for name, p in model.named_parameters()}
    assert shapes["model.layers.0.self_attn.k_proj.weight"] == (16, 32)
    assert shapes["model.layers.0.mlp.up_proj.weight"] == (64, 20)
    assert shapes["model.layers.0.mlp.down_proj.weight"] == (20, 64)


def resumed(dtype: torch.dtype, values: dict[str, Any], load: Any = AdamW.load_state_dict) -> dict[str, torch.Tensor]:
    """Weights after five steps, a new process, and four more."""
    model = llama(dtype)
    optimizer = build(model, values)
    run(model, optimizer, range(5))
    buffer = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    fresh = llama(dtype)
    fresh.load_state_dict(saved[0])
    again = build(fresh, values)
    load(again, saved[1])
    run(fresh, again, range(5, 9))
    return weights(fresh)


@pytest.mark.parametrize("rounding", ["masters", "stochastic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_run_goes_on_bit_for_bit(name: str, dtype: torch.dtype, rounding: str) -> None:
    values = SETTINGS[name] | {"sixteen_bit": rounding}
    model = llama(dtype)
    run(model, build(model, values), range(9))
    assert same(weights(model), resumed(dtype, values))


def test_torch_s_own_loading_would_not_go_on_bit_for_bit() -> None:
    """It rounds the moments, and the masters, of bfloat16 weights to bfloat16."""
    model = llama(torch.bfloat16)
    run(model, build(model, APOLLO), range(9))
    assert not same(weights(model), resumed(torch.bfloat16, APOLLO, torch.optim.Optimizer.load_state_dict))


def drifted(values: dict[str, Any], dtype: torch.dtype) -> torch.Tensor:
    """Weights of 1 after 100 steps of a rate of 1e-4 against a gradient of 1."""
    weight = torch.nn.Parameter(torch.ones(64, 64, dtype=dtype))
    optimizer = build_optimizer({"matrices": [("w", weight)]}, settings_of(values), 1e-4, 0.98, 0.0, 0)
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    return weight.detach().float()


@pytest.mark.parametrize("name", ["adamw", "apollo"])
def test_bfloat16_without_masters_loses_updates_and_with_rounding_not_in_expectation(name: str) -> None:
    values = SETTINGS[name] | {"sixteen_bit": "nearest"}
    exact = drifted(values, torch.float32)
    # One number for each channel at rank 8, unless a projection happens to be near 0.
    assert ((1 - exact) > 1e-3).all()
    assert torch.equal(drifted(values, torch.bfloat16), torch.ones(64, 64))
    masters = drifted(values | {"sixteen_bit": "masters"}, torch.bfloat16)
    assert torch.equal(masters, exact.to(torch.bfloat16).float())
    rounded = drifted(values | {"sixteen_bit": "stochastic"}, torch.bfloat16)
    moved = (1 - exact).mean().item()
    # Below 1, bfloat16's steps are 1/256: each weight is off by the root of moved / 256, their mean by a 64th of that.
    assert (1 - rounded).mean().item() == pytest.approx(moved, abs=4 * (moved / 256) ** 0.5 / 64)


def test_rounding_at_random_goes_to_the_two_neighbours_alone() -> None:
    values = torch.full((100_000,), 1 + 0.25 / 128)
    rounded = round_stochastically(values, 3).float()
    assert set(rounded.tolist()) == {1.0, 1 + 1 / 128}
    assert (rounded > 1).float().mean().item() == pytest.approx(0.25, abs=0.01)
    negative = round_stochastically(-values, 3).float()
    assert torch.equal(negative, -rounded)
    exact = torch.tensor([1.5, -2.0, 0.0, float("inf")])
    assert torch.equal(round_stochastically(exact, 3).float(), exact)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_gradient_that_is_not_a_number_is_named_and_changes_nothing(name: str) -> None:
    model = llama()
    optimizer = build(model, SETTINGS[name])
    run(model, optimizer, range(2))
    before, state = weights(model), {p: dict(s) for p, s in optimizer.state.items()}
    copies = {p: {key: value.clone() for key, value in s.items()} for p, s in state.items()}
    broken = model.model.layers[1].mlp.up_proj.weight
    broken.grad[3, 4] = float("nan")
    with pytest.raises(LamarckError, match=r"^the gradient of model\.layers\.1\.mlp\.up_proj\.weight is not finite"):
        optimizer.step()
    assert same(before, weights(model))
    assert all(torch.equal(value, optimizer.state[p][key]) for p, s in copies.items() for key, value in s.items())


def test_large_finite_gradients_are_let_through() -> None:
    """Their norm is infinite, and they are not."""
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 3e38)
    assert first_not_finite([("w", weight)]) is None


def test_a_misspelt_setting_is_a_sentence() -> None:
    with pytest.raises(LamarckError, match="did you mean 'renew_every'"):
        check_section({"kind": "apollo", "renew_evry": 3}, ApolloSettings, "recipe")
