"""Pretrain the tiny founder: a plain loop over an endless corpus."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lamarck.g0.corpus import corpus
from lamarck.g0.tokenizer import build_tokenizer
from lamarck.g0.world import TinyFounder
from lamarck.seeds import seed_for
from lamarck.skills import get_skill
from lamarck.skills.base import PROMPT_END


@dataclass(frozen=True)
class Pretraining:
    """What a pretraining run came to."""

    loss: float  # nats per weighted token, of the last step
    tokens: int
    device_seconds: float


def pretrain(
    world: TinyFounder, exclude: frozenset[str], output: Path, seed: int, on_step: Callable[[int], None]
) -> Pretraining:
    """Train a model from nothing and save it, with its tokenizer, as an ordinary model directory.

    The same seed, machine and number of threads give the same bytes.
    """
    tokenizer = build_tokenizer([PROMPT_END, *(word for name in world.skills for word in get_skill(name).vocabulary())])
    torch.manual_seed(seed_for(seed, "g0", "weights"))
    model = LlamaForCausalLM(_shape(world, tokenizer))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=world.learning_rate, betas=(0.9, 0.98), weight_decay=world.weight_decay, fused=True
    )
    batches = _batches(world, tokenizer, seed, exclude)
    loss = torch.zeros(())
    tokens = 0
    started = time.perf_counter()
    for step, (inputs, weights) in enumerate(islice(batches, world.steps)):
        for group in optimizer.param_groups:
            group["lr"] = world.learning_rate * _rate(step, world)
        loss = _loss(model, inputs, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += int((weights > 0).sum())
        on_step(1)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    return Pretraining(loss.item(), tokens, time.perf_counter() - started)


def _shape(world: TinyFounder, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=world.hidden_size,
        num_hidden_layers=world.layers,
        num_attention_heads=world.heads,
        num_key_value_heads=world.heads,
        intermediate_size=world.intermediate_size,
        max_position_embeddings=world.context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def _rate(step: int, world: TinyFounder) -> float:
    """Share of the learning rate at a step: linear warm-up, a plateau, linear decay to nearly nothing."""
    warm = (step + 1) / world.warmup_steps if world.warmup_steps else 1.0
    decay_steps = world.decay_share * world.steps
    decay = (world.steps - step) / decay_steps if decay_steps else 1.0
    return min(1.0, warm, decay)


def _batches(
    world: TinyFounder, tokenizer: PreTrainedTokenizerFast, seed: int, exclude: frozenset[str]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(lines, longest) token ids, padded on the right, and the weight of each token in the loss, 0 on padding.

    Every batch mixes all skills: sorting by length would make batches of one skill each, and learning would thrash.
    """
    problems = corpus(world, seed_for(seed, "g0", "corpus"), exclude)
    ids = tokenizer.get_vocab()
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    while True:
        rows: list[list[int]] = []
        weights: list[list[float]] = []
        for problem in islice(problems, world.batch_size):
            prompt = [ids[word] for word in problem.prompt.split()]
            completion = [ids[word] for word in problem.completion.split()] + [end]
            rows.append(prompt + completion)
            weights.append([world.prompt_weight] * len(prompt) + [1.0] * len(completion))
        longest = max(len(row) for row in rows)
        yield (
            torch.tensor([row + [padding] * (longest - len(row)) for row in rows]),
            torch.tensor([row + [0.0] * (longest - len(row)) for row in weights]),
        )


def _loss(model: LlamaForCausalLM, inputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy of every next token, in nats. Padding stands on the right: causal attention never
    sees it, so no mask is needed."""
    hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state[:, :-1]
    counted = weights[:, 1:] > 0
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden[counted]), inputs[:, 1:][counted], reduction="none")
    kept = weights[:, 1:][counted]
    return (losses * kept).sum() / kept.sum()
