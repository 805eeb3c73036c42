"""How the next token is chosen: the best, or a draw from the nucleus (arXiv:1904.09751)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

FEW, MORE = 256, 8  # tokens that are sorted first, and how many times more where they do not hold a nucleus
BLOCK = 128  # tokens whose mass is summed before one of them is looked for
VALUES = 2**19  # numbers at once, which a core's cache holds: beside a small model's step, memory is what costs

# (logits of the running rows, (rows, vocabulary), which may be overwritten; which rows of the batch they are; the step,
# from 1) -> their tokens.
Choose = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True)
class Continuation:
    """One prompt to continue with settings of its own. `tokens`: the prompt's ids."""

    tokens: list[int]
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def shared_luck(temperature: float, top_p: float, generator: torch.Generator) -> Choose:
    """Every row draws from one generator: the fastest, but what a row gets depends on who else is in the batch."""

    def choose(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        if temperature == 0:
            return logits.argmax(-1)
        if top_p == 1 and logits.device.type == "cpu" and logits.dtype.itemsize < 4:
            parts = logits.split(max(1, VALUES // logits.shape[1]))
            return torch.cat([_drawn(torch.softmax(part.float() / temperature, -1), generator) for part in parts])
        probabilities = torch.softmax(logits.float() / temperature, -1)
        if top_p == 1:
            return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
        ordered, index = _nucleus(probabilities, torch.tensor(top_p, device=probabilities.device))
        return index.gather(-1, torch.multinomial(ordered, 1, generator=generator)).squeeze(1)

    return choose


def own_luck(requests: Sequence[Continuation], device: torch.device) -> Choose:
    """Every row has its own temperature, nucleus and seed: what it gets does not depend on who else is in the batch."""
    # The smallest are raised to what every device divides by; none becomes zero, which means greedy.
    smallest = torch.finfo(torch.float32).tiny
    heats = [max(request.temperature, smallest) if request.temperature else 0.0 for request in requests]
    temperatures = torch.tensor(heats, device=device)
    top_ps = torch.tensor([request.top_p for request in requests], device=device)
    draws = torch.nn.utils.rnn.pad_sequence([_draws(request) for request in requests]).to(device)

    def choose(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        best = logits.argmax(-1)
        hot = temperatures[rows] > 0
        if not bool(hot.any()):
            return best
        heat = torch.where(hot, temperatures[rows], 1.0)[:, None]
        # Below the best before it is divided: by next to nothing, what stands above zero would become infinite.
        below = logits.float() - logits.float().amax(-1, keepdim=True)
        probabilities = torch.softmax(below / heat, -1)
        # A row that has reached its own limit may still be in the batch: its draw is not looked at.
        luck = draws[min(step, len(draws)) - 1, rows, None]
        chosen = best
        for own_order in (True, False):  # the whole distribution needs no order
            places = (hot & ((top_ps[rows] == 1) == own_order)).nonzero().squeeze(1)
            if not len(places):
                continue
            ordered, index = probabilities[places], None
            if not own_order:
                ordered, index = _nucleus(ordered, top_ps[rows][places, None])
            mass = ordered.double().cumsum(-1)
            place = _reached(mass, luck[places] * mass[:, -1:], ordered)
            drawn = place if index is None else index.gather(1, place)
            chosen = chosen.index_copy(0, places, drawn.squeeze(1))
        return chosen

    return choose


def _drawn(probabilities: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A token of each row, (rows,): one uniform draw each, where torch's `multinomial` makes one for every token.

    The inverse of the cumulative distribution in two steps: which block, and which token of it.
    """
    short = -probabilities.shape[1] % BLOCK
    blocks = torch.nn.functional.pad(probabilities, (0, short)) if short else probabilities
    blocks = blocks.unflatten(1, (-1, BLOCK))
    sums = blocks.sum(-1)
    mass = sums.double().cumsum(-1)
    luck = torch.rand(len(mass), 1, dtype=torch.float64, generator=generator) * mass[:, -1:]
    block = _reached(mass, luck, sums)
    own = blocks.take_along_dim(block[..., None], 1).squeeze(1)
    rest = luck - (mass - sums.double()).gather(1, block)
    return (block * BLOCK + _reached(own.double().cumsum(-1), rest, own)).squeeze(1)


def _reached(mass: torch.Tensor, luck: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(rows, 1): the place at which each row's cumulative `mass` passes its `luck`, which rounding may put just past
    the end: then the heaviest."""
    place = torch.searchsorted(mass, luck, right=True)
    return torch.where(place < mass.shape[-1], place, weights.argmax(-1, keepdim=True))


def _nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens of each row in falling order, those beyond `top_p` at zero: (probabilities, their tokens).

    A nucleus is a few hundred tokens of fifty thousand: only as many are sorted as hold the mass that is asked for.
    The best stays, however small `top_p` is: in 32 bits it may be zero.
    """
    count, whole = FEW, probabilities.shape[-1]
    while True:
        ordered, index = probabilities.topk(min(count, whole), -1)
        if count >= whole or bool((ordered.sum(-1, keepdim=True) >= top_p).all()):
            break
        count *= MORE
    rest = ordered[..., 1:]
    rest[(ordered.cumsum(-1) - ordered)[..., 1:] >= top_p] = 0
    return ordered, index


def _draws(request: Continuation) -> torch.Tensor:
    """(max_new_tokens,) uniform draws, the same on every device; none for a greedy request."""
    generator = torch.Generator().manual_seed(request.seed)
    return torch.rand(request.max_new_tokens if request.temperature > 0 else 1, generator=generator)
