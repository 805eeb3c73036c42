"""Texts that answer the same prompt look back at one copy of it: a step reads its keys and values from memory once,
where one copy a text is most of what a step of a small model reads.

Attention is divided into what lies in the prompt and what was written since, and put together by the sums of both
(Juravsky et al. 2024, Hydragen, arXiv:2402.05099).
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache

ATTENTION = "lamarck_prompts"
TEXTS = 4  # of a batch to each of its prompts, from which on dividing attention takes less than it saves


class ReadPrompts:
    """Keys and values of a batch's prompts, and which of its rows answers which."""

    def __init__(self, cache: DynamicCache, lengths: Sequence[int], answered: torch.Tensor) -> None:
        """`cache` holds the prompts alone, padded on the left; `lengths` are theirs in tokens. `answered`: (rows,), the
        place of each row's prompt."""
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]
        self._lengths = lengths
        self._look_up(answered)

    def keep(self, rows: torch.Tensor) -> None:
        """Of the batch, only these rows go on."""
        self._look_up(self._answered[rows])

    def _look_up(self, answered: torch.Tensor) -> None:
        self._answered = answered
        self._order = answered.argsort(stable=True)
        self._back = self._order.argsort()
        self._counts = answered.bincount(minlength=len(self._lengths)).tolist()

    def seen(self, layer: int, queries: torch.Tensor, scaling: float) -> tuple[torch.Tensor, torch.Tensor]:
        """`queries` are (rows, key heads, queries to each, head size): what each sees of its prompt, and the logarithm
        of the sum by which that was divided."""
        _, heads, groups, size = queries.shape
        keys, values = self._layers[layer]
        found, sums = [], []
        own = queries[self._order].transpose(0, 1).split(self._counts, dim=1)
        for prompt, (asked, length) in enumerate(zip(own, self._lengths, strict=True)):
            if not asked.shape[1]:
                continue
            first = keys.shape[2] - length
            key, value = (each[prompt : prompt + 1, :, first:] for each in (keys, values))
            value, total = _attended(asked.reshape(1, heads, -1, size), key, value, scaling)
            found.append(value.view(heads, -1, groups, size))
            sums.append(total.view(heads, -1, groups))
        in_order = (torch.cat(each, dim=1).transpose(0, 1) for each in (found, sums))
        value, total = (each[self._back] for each in in_order)
        return value, total


def _attended(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What queries see of all keys, each (batch, heads, tokens, head size), and the logarithms of their sums, (batch,
    heads, queries)."""
    # What `scaled_dot_product_attention` calls on a CPU, and keeps the sums of to itself.
    seen: tuple[torch.Tensor, torch.Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, scale=scaling
    )
    return seen


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    prompts: ReadPrompts,
    scaling: float,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """`query` (rows, heads, 1, head size); `key` and `value` (rows, key heads, tokens since the prompt, head size)."""
    rows, heads, _, size = query.shape
    queries = query.reshape(rows, key.shape[1], -1, size)
    before, sum_before = prompts.seen(module.layer_idx, queries, scaling)
    since, sum_since = _attended(queries, key, value, scaling)
    share = torch.sigmoid(sum_before - sum_since).unsqueeze(-1)
    seen = torch.lerp(since.float(), before.float(), share).to(value.dtype)
    return seen.view(rows, 1, heads, size), None


AttentionInterface.register(ATTENTION, _attention)
