"""Texts that begin alike are read once: loss and gradient are those of the texts one by one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from lamarck.config import Recipe
from lamarck.gate.allowance import Allowance
from lamarck.models.attention import may_read_once
from lamarck.train import beginnings
from lamarck.train.beginnings import StepPart, parts_of
from lamarck.train.data import Batches, Example
from lamarck.train.loop import answer_loss, family_loss, train

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    made = LlamaForCausalLM(LlamaConfig(**SIZES))
    with torch.no_grad():
        for value in made.parameters():
            value.mul_(8)  # as it is drawn it would attend to all places alike
    return made


def examples() -> list[Example]:
    """Two beginnings, of which one is the other's, texts of unequal length behind each, one that is another's
    beginning, one twice, one that is learned from its first token on, and one like nothing else."""
    generator = torch.Generator().manual_seed(1)

    def drawn(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(2, 48, (length,), generator=generator).tolist())

    short, long = drawn(7), drawn(9)
    made = [Example((*short, *drawn(3 + number)), 9) for number in range(4)]
    made += [Example((*short, *long, *drawn(2 + number)), 16) for number in range(5)]
    made += [made[-1], Example((*made[-1].tokens, *drawn(4)), 18), Example(drawn(6), 0), Example(drawn(21), 14)]
    return made


def counted(loss: torch.Tensor, model: torch.nn.Module) -> list[torch.Tensor]:
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


def by_families(model: torch.nn.Module, parts: Sequence[StepPart]) -> list[torch.Tensor]:
    answers = sum(part.answers for part in parts)
    each = [counted(part.answers / answers * family_loss(model, part), model) for part in parts]
    return [torch.stack(values).sum(0) for values in zip(*each, strict=True)]


def test_loss_and_gradient_are_those_of_the_texts_one_by_one(model: LlamaForCausalLM) -> None:
    """Wrong implementations: a beginning that reaches into an answer, whose tokens would be learned once for all; rests
    that see each other; keys of other heads."""
    batch = examples()
    expected = counted(answer_loss(model, *Batches(batch, len(batch), 0, 0).at(0)), model)
    parts = parts_of(batch, padding=0)
    assert sum(family.rows for part in parts for family in part.families) == len(batch)
    assert max(family.rows for part in parts for family in part.families) > 2
    assert sum(part.answers for part in parts) == sum(example.answers for example in batch)
    for found, value in zip(by_families(model, parts), expected, strict=True):
        assert float((found - value).abs().max()) < 1e-4 * float(value.abs().max())
    assert model.config._attn_implementation == "sdpa"  # what it is for all else


def test_fewer_tokens_are_computed_and_no_part_has_more_than_the_longest_of_before() -> None:
    batch = examples()
    padded = [inputs.numel() for inputs, _, _ in Batches(batch, len(batch), 0, 0).parts(0)]
    parts = parts_of(batch, padding=0)
    assert max(part.inputs.numel() for part in parts) <= max(padded)
    assert sum(part.inputs.numel() for part in parts) < 0.75 * sum(len(example.tokens) for example in batch)
    for part in parts:
        assert part.inputs.shape == part.targets.shape == part.places.shape
        assert part.inputs.numel() == sum(family.tokens for family in part.families)


def test_only_16_bits_on_a_cpu_and_plain_attention_are_trained_so(model: LlamaForCausalLM) -> None:
    assert not may_read_once(model, CPU)
    assert may_read_once(model.bfloat16(), CPU)
    assert not may_read_once(model, torch.device("cuda"))
    assert not may_read_once(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)).bfloat16(), CPU)
    assert not may_read_once(LlamaForCausalLM(LlamaConfig(**SIZES, attention_dropout=0.1)).bfloat16(), CPU)


def test_in_16_bits_it_is_taken_and_says_the_same(
    model: LlamaForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of a step, up to what 16 bits keep; and long texts do not go this way."""
    batch = examples()
    recipe = Recipe(form="weights", inherit="continue", dtype="bfloat16", steps=1, batch_size=12, warmup_steps=0)
    state = {name: value.clone() for name, value in model.bfloat16().state_dict().items()}
    attended = beginnings._seen
    seen = []
    monkeypatch.setattr(beginnings, "_seen", lambda *given: (seen.append(1), attended(*given))[1])

    def loss(directory: str) -> float:
        model.load_state_dict(state)
        allowance, batches = Allowance("a test", 1e9), Batches(batch, 12, 0, 0)
        return train(model, batches, recipe, allowance, tmp_path / directory, "run", lambda steps: None).log[0].loss

    found, calls = loss("families"), len(seen)
    assert calls
    monkeypatch.setattr("lamarck.train.loop.may_read_once", lambda *_: False)
    assert found == pytest.approx(loss("padded"), rel=2e-2)
    assert len(seen) == calls
    assert not beginnings.are_short([*batch, Example((2,) * (beginnings.LONGEST + 1), 3)])
