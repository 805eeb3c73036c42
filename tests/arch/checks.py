"""What must hold for any genome: one check each, for the tests and for the soak."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from lamarck.arch.costs import cost
from lamarck.arch.genome import Genome
from lamarck.arch.inherit import Heir
from lamarck.arch.model import GenomeForCausalLM, build_model

TOKENS = 23
NEAR = 1e-9  # in float64


def ids_for(genome: Genome, rows: int = 2, tokens: int = TOKENS, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, genome.model.emb.vocab, (rows, tokens), generator=generator)


def exact(genome: Genome, seed: int = 0) -> GenomeForCausalLM:
    return build_model(genome, seed).double()


def distance(first: torch.Tensor, second: torch.Tensor) -> float:
    return (first - second).abs().max().item()


@torch.no_grad()
def future_leak(logits: Callable[[torch.Tensor], torch.Tensor], ids: torch.Tensor) -> float:
    """How much the logits of the first tokens change when later ones change, or are not there at all."""
    whole = logits(ids)
    worst = 0.0
    for cut in (1, 6, 14):
        changed = torch.cat([ids[:, :cut], (ids[:, cut:] + 1) % ids.max()], dim=1)
        worst = max(worst, distance(logits(changed)[:, :cut], whole[:, :cut]))
        worst = max(worst, distance(logits(ids[:, :cut]), whole[:, :cut]))
    return worst


@torch.no_grad()
def cache_error(model: GenomeForCausalLM, ids: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """The largest difference between reading in pieces and token by token, with a cache, and all at once."""
    whole = model(ids, attention_mask=mask).logits
    cuts = [0, 7, 8, 9, 16, ids.shape[1] - 1, ids.shape[1]]
    pieces, cache = [], None
    for start, end in pairwise(cuts):
        seen = None if mask is None else mask[:, :end]
        output = model(ids[:, start:end], attention_mask=seen, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        pieces.append(output.logits)
    real = torch.ones_like(ids) if mask is None else mask
    return distance(torch.cat(pieces, dim=1)[real == 1], whole[real == 1])


@torch.no_grad()
def padding_error(model: GenomeForCausalLM, ids: torch.Tensor) -> float:
    """The largest difference that five padding tokens on the left make to the first row."""
    pad = torch.zeros(ids.shape[0], 5, dtype=ids.dtype)
    padded, mask = torch.cat([pad, ids], dim=1), torch.cat([pad, torch.ones_like(ids)], dim=1)
    mask[1:] = 1  # The other rows have none: the padding is data there.
    error = distance(model(padded, attention_mask=mask).logits[0, 5:], model(ids).logits[0])
    return max(error, cache_error(model, padded, mask))


@torch.no_grad()
def cost_mismatch(genome: Genome, tokens: int = TOKENS, dtype: torch.dtype = torch.float32) -> list[str]:
    """Where what is computed from the genome differs from what the built model has, does and keeps."""
    model, ids = build_model(genome, 0).to(dtype), ids_for(genome, 1, tokens)
    # The plain kernel: the counter does not know the fused one of CPUs.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        cache = model(ids, use_cache=True).past_key_values
    computed = cost(genome, tokens, dtype.itemsize)
    measured = {
        "parameters": (computed.parameters, sum(each.numel() for each in model.parameters())),
        "flops": (computed.flops, counter.get_total_flops()),
        "cache": (computed.cache, cache.bytes()),
    }
    return [f"{name}: {ours} computed, {found} found" for name, (ours, found) in measured.items() if ours != found]


def train_step(model: GenomeForCausalLM, ids: torch.Tensor, rate: float = 1e-2) -> float:
    """One step of plain gradient descent; the loss before it."""
    model.train()
    loss = model(ids, labels=ids).loss
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
    model.eval()
    return loss.item()


def silent_tensors(heir: Heir, ids: torch.Tensor) -> list[str]:
    """New trainable tensors, or parts of them, that have no gradient at the second step."""
    model = heir.model
    train_step(model, ids)
    train_step(model, ids)
    fresh = {name: tensor.isnan() for name, tensor in heir.given.items()}
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and fresh[name].any() and not parameter.grad[fresh[name]].abs().sum() > 0
    ]


def check_whole_life(genome: Genome, directory: Path) -> None:
    """Build, cost, causality, cache, padding, a step of training, save, load, generate."""
    assert not cost_mismatch(genome)
    model, ids = exact(genome), ids_for(genome)
    assert future_leak(lambda each: model(each).logits, ids) < NEAR
    assert cache_error(model, ids) < NEAR
    assert padding_error(model, ids) < NEAR
    assert math.isfinite(train_step(model, ids))
    assert all(torch.isfinite(each).all() for each in model.parameters())
    _check_saved(model, ids, 8, directory)


def check_short_life(genome: Genome, directory: Path) -> None:
    """Build, a step of training, save, load, generate: a third of the work of a whole one."""
    model, ids = exact(genome), ids_for(genome, tokens=9)
    assert math.isfinite(train_step(model, ids))
    _check_saved(model, ids, 3, directory)


def _check_saved(model: GenomeForCausalLM, ids: torch.Tensor, tokens: int, directory: Path) -> None:
    """What is saved is loaded as it was, and with a cache writes what the model without one writes."""
    model.save_pretrained(directory)
    loaded = AutoModelForCausalLM.from_pretrained(directory)
    assert isinstance(loaded, GenomeForCausalLM) and loaded.genome == model.genome
    written, read = model.state_dict(), loaded.state_dict()
    assert written.keys() == read.keys() and all(torch.equal(written[name], read[name]) for name in written)
    texts = [
        each.generate(ids[:, :6], max_new_tokens=tokens, do_sample=False, pad_token_id=0, use_cache=cached)
        for each, cached in ((model, False), (loaded, True))
    ]
    assert torch.equal(*texts)
