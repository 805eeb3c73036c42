"""Texts that begin alike are read once as far as they do: instructions and worked examples are half of a curriculum.

Texts behind one beginning are a family. Its beginning stands in a part of a step once, all rests look back at it, and
its gradient is the sum over them: loss and gradient are those of the texts one by one, to rounding. Attention is
divided as in Juravsky et al. 2024 (Hydragen, arXiv:2402.05099). A part is one row of tokens, padded within families.

For 16 bits on a CPU: there the gradient of torch's flash kernel took a quarter of a step, and plain products of texts
as short as these rests take far less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from transformers import AttentionInterface

from lamarck.budget.work import rows_at_once
from lamarck.train.data import IGNORED, Example

ATTENTION = "lamarck_beginnings"
EACH = 16  # tokens that would take about as long as what a family takes beside its tokens
LONGEST = (
    320  # tokens of a text: what all its places see of each other is kept, and of long ones would be most of memory
)


@dataclass(frozen=True)
class Family:
    """`shared` tokens of a beginning, then `rows` rests, each padded on the right to `longest` tokens."""

    shared: int
    rows: int
    longest: int

    @property
    def tokens(self) -> int:
        return self.shared + self.rows * self.longest


@dataclass(frozen=True)
class StepPart:
    """Families one behind the other. All tensors are (1, tokens): `targets` holds the token to predict at each place,
    or IGNORED, and `places` where in its text each token stands."""

    families: tuple[Family, ...]
    inputs: torch.Tensor
    targets: torch.Tensor
    places: torch.Tensor

    @property
    def answers(self) -> int:
        return int((self.targets != IGNORED).sum())


def are_short(examples: Sequence[Example]) -> bool:
    return max(len(example.tokens) for example in examples) <= LONGEST


def parts_of(examples: Sequence[Example], padding: int) -> list[StepPart]:
    """A step's examples, in parts of no more tokens than those have that are padded to the longest of their part."""
    lengths = sorted(len(example.tokens) for example in examples)
    rows = rows_at_once(len(examples))
    most = max(
        len(part) * part[-1] for first in range(0, len(lengths), rows) if (part := lengths[first : first + rows])
    )
    packed: list[list[tuple[Family, list[Example]]]] = []
    room = 0
    for family, members in _families(examples, most):
        if family.tokens > room:
            packed.append([])
            room = most
        packed[-1].append((family, members))
        room -= family.tokens
    return [_part(each, padding) for each in packed]


def _families(examples: Sequence[Example], most: int) -> list[tuple[Family, list[Example]]]:
    """The division of the examples, in the order of their tokens, that computes the fewest; none has over `most`."""
    rows = sorted(examples, key=lambda example: example.tokens)
    alike = [_alike(one.tokens, other.tokens) for one, other in pairwise(rows)]
    costs = [0]  # of the first rows
    last: list[tuple[int, Family]] = []  # of as many, where their last family begins, and that family
    for end in range(1, len(rows) + 1):
        shared, longest = len(rows[end - 1].tokens), 0
        found = []
        for begin in reversed(range(end)):
            # The first token that is learned is predicted at the place before it, which is the text's own.
            shared = min(shared, max(0, rows[begin].answer_start - 1), *alike[begin : min(begin + 1, end - 1)])
            longest = max(longest, len(rows[begin].tokens))
            alone = begin + 1 == end
            family = Family(0, 1, longest) if alone else Family(shared, end - begin, longest - shared)
            if family.tokens <= most:
                found.append((costs[begin] + EACH + family.tokens, begin, family))
        cost, first, whole = min(found, key=lambda each: each[0])
        costs.append(cost)
        last.append((first, whole))
    families = []
    end = len(rows)
    while end:
        begin, family = last[end - 1]
        families.append((family, rows[begin:end]))
        end = begin
    return families


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _part(families: Sequence[tuple[Family, list[Example]]], padding: int) -> StepPart:
    inputs: list[int] = []
    targets: list[int] = []
    places: list[int] = []
    for family, members in families:
        inputs += members[0].tokens[: family.shared]
        targets += [IGNORED] * family.shared
        places += range(family.shared)
        for example in members:
            rest = example.tokens[family.shared :]
            missing = family.longest - len(rest)
            first = max(example.answer_start, 1) - 1 - family.shared  # where the first learned token is predicted
            inputs += [*rest, *[padding] * missing]
            targets += [*[IGNORED] * first, *rest[first + 1 :], *[IGNORED] * (missing + 1)]
            places += range(family.shared, family.shared + family.longest)
    row = (torch.tensor([values]) for values in (inputs, targets, places))
    return StepPart(tuple(family for family, _ in families), *row)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    families: Sequence[Family],
    scaling: float,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """`query` (1, heads, tokens, head size), `key` and `value` (1, key heads, tokens, head size) of a part."""
    sizes = [size for family in families for size in (family.shared, family.rows * family.longest)]
    split = [tensor[0].split(sizes, dim=1) for tensor in (query, key, value)]
    seen = []
    for number, family in enumerate(families):
        (queries, own_queries), (keys, own_keys), (values, own_values) = (
            each[2 * number : 2 * number + 2] for each in split
        )
        if family.shared:
            seen.append(_seen(queries, keys, values, 1, None, scaling))
        seen.append(_seen(own_queries, own_keys, own_values, family.rows, (keys, values), scaling))
    return torch.cat(seen, dim=1).transpose(0, 1)[None], None


def _seen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rows: int,
    earlier: tuple[torch.Tensor, torch.Tensor] | None,
    scaling: float,
) -> torch.Tensor:
    """(heads, rows x length, head size): what rows of equal length see, each of itself up to each place, and all of
    what is `earlier`, keys and values of (key heads, shared, head size)."""
    heads, _, size = query.shape
    length, groups = query.shape[1] // rows, len(query) // len(key)
    # The queries of one key head are rows of one matrix: no key is copied for each of them.
    queries = (query * scaling).view(len(key), groups, rows, length, size).transpose(1, 2)
    alone = queries.reshape(-1, groups * length, size)
    own_keys, own_values = (each.reshape(-1, length, size) for each in (key, value))
    scores = (alone @ own_keys.transpose(1, 2)).view(*queries.shape[:-1], length)
    shared = 0
    if earlier is not None and earlier[0].shape[1]:
        shared = earlier[0].shape[1]
        together = queries.reshape(len(key), -1, size)
        before = (together @ earlier[0].transpose(1, 2)).view(*queries.shape[:-1], shared)
        scores = torch.cat([before, scores], dim=-1)
    later = torch.ones(length, shared + length, dtype=torch.bool, device=query.device).triu(shared + 1)
    weights = torch.softmax(scores.masked_fill(later, -torch.inf), -1)
    seen = (weights[..., shared:].reshape(-1, groups * length, length) @ own_values).view(queries.shape)
    if shared:
        assert earlier is not None
        seen = seen + (weights[..., :shared].reshape(len(key), -1, shared) @ earlier[1]).view(queries.shape)
    return seen.transpose(1, 2).reshape(heads, rows * length, size)


AttentionInterface.register(ATTENTION, _attention)
