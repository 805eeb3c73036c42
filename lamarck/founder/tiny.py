"""Pretrain the tiny founder: a plain loop over an endless corpus."""

import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lamarck.config.tiny import TinyFounder
from lamarck.founder.tokenizer import build_tokenizer
from lamarck.gate.allowance import FOUNDER, excepted
from lamarck.seeds import seed_for
from lamarck.skills import words_of
from lamarck.skills.base import PROMPT_END
from lamarck.skills.corpus import corpus

SMOOTHING = 0.98  # of a skill's loss, over steps


@dataclass(frozen=True)
class Pretraining:
    """What a pretraining run came to."""

    steps: int
    losses: dict[str, float]  # skill -> nats per answer word, smoothed, at the end
    tokens: int
    device_seconds: float


@dataclass(frozen=True)
class Batch:
    """`inputs` and `weights` are (lines, longest), padded on the right; weight 1 is an answer's word, 0 padding."""

    inputs: torch.Tensor
    weights: torch.Tensor
    skills: list[str]


def pretrain(
    world: TinyFounder, exclude: frozenset[str], output: Path, seed: int, on_step: Callable[[int], None]
) -> Pretraining:
    """Train a model from nothing and save it, with its tokenizer, as an ordinary model directory.

    The rate stays up until every skill's loss has been below its target, then decays. The same seed, machine and
    number of threads give the same bytes. Errors: LamarckError for more than is trained without an approval.
    """
    words = [PROMPT_END, *(word for name in world.skills for word in words_of(name))]
    tokenizer = build_tokenizer(words)
    torch.manual_seed(seed_for(seed, "g0", "weights"))
    model = LlamaForCausalLM(_shape(world, tokenizer))
    excepted(FOUNDER, world.steps, sum(value.numel() for value in model.parameters()))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=world.learning_rate, betas=(0.9, 0.98), weight_decay=world.weight_decay, fused=True
    )
    losses: dict[str, float] = {}
    resting: set[str] = set()  # skills below their target now
    reached: set[str] = set()  # skills that have been
    tokens = 0
    decay_from: int | None = None
    started = time.perf_counter()
    for step, batch in enumerate(islice(_batches(world, tokenizer, seed, exclude, resting), world.steps)):
        late = step >= world.steps - world.decay_steps
        if decay_from is None and (late or reached == world.skills.keys()):
            decay_from = step
        if decay_from is not None and step >= decay_from + world.decay_steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = world.learning_rate * _rate(step, decay_from, world)
        loss, skill_losses = _loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for name, value in skill_losses.items():
            losses[name] = SMOOTHING * losses.get(name, value) + (1 - SMOOTHING) * value
        resting.clear()
        resting.update(name for name, value in losses.items() if value < world.skills[name].target_loss)
        reached |= resting
        tokens += int((batch.weights > 0).sum())
        on_step(1)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    steps = world.steps if decay_from is None else decay_from + world.decay_steps
    return Pretraining(steps, losses, tokens, time.perf_counter() - started)


def _rate(step: int, decay_from: int | None, world: TinyFounder) -> float:
    """Share of the learning rate at a step: linear warm-up, a plateau, linear decay to nearly nothing."""
    warm = (step + 1) / world.warmup_steps if world.warmup_steps else 1.0
    decay = 1.0 if decay_from is None else (decay_from + world.decay_steps - step) / world.decay_steps
    return min(1.0, warm, decay)


def _shape(world: TinyFounder, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=world.hidden_size,
        num_hidden_layers=world.layers,
        num_attention_heads=world.heads,
        num_key_value_heads=world.heads,
        head_dim=world.head_size,
        intermediate_size=world.intermediate_size,
        max_position_embeddings=world.context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def _batches(
    world: TinyFounder, tokenizer: PreTrainedTokenizerFast, seed: int, exclude: frozenset[str], resting: Set[str]
) -> Iterator[Batch]:
    """Every batch mixes all skills: sorted by length, batches would hold one skill each, and learning would thrash."""
    problems = corpus(world, seed_for(seed, "g0", "corpus"), exclude, resting)
    ids = tokenizer.get_vocab()
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    while True:
        rows: list[list[int]] = []
        weights: list[list[float]] = []
        skills: list[str] = []
        for skill, problem in islice(problems, world.batch_size):
            prompt = [ids[word] for word in problem.prompt.split()]
            completion = [ids[word] for word in problem.completion.split()] + [end]
            rows.append(prompt + completion)
            weights.append([world.prompt_weight] * len(prompt) + [1.0] * len(completion))
            skills.append(skill)
        longest = max(len(row) for row in rows)
        yield Batch(
            torch.tensor([row + [padding] * (longest - len(row)) for row in rows]),
            torch.tensor([row + [0.0] * (longest - len(row)) for row in weights]),
            skills,
        )


def _loss(model: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """Weighted mean cross-entropy of every next token, and each skill's mean over its answers, in nats.

    Padding stands on the right: causal attention never sees it, so no mask is needed.
    """
    hidden = model.model(input_ids=batch.inputs, use_cache=False).last_hidden_state[:, :-1]
    weights = batch.weights[:, 1:]
    counted = weights > 0
    losses = torch.nn.functional.cross_entropy(
        model.lm_head(hidden[counted]), batch.inputs[:, 1:][counted], reduction="none"
    )
    kept = weights[counted]
    lines, _ = counted.nonzero(as_tuple=True)
    by_skill: dict[str, float] = {}
    for skill in sorted(set(batch.skills)):
        rows = torch.tensor([name == skill for name in batch.skills])
        by_skill[skill] = losses.detach()[rows[lines] & (kept == 1)].mean().item()
    return (losses * kept).sum() / kept.sum(), by_skill
