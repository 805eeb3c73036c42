"""Keys and values of the texts that are being written, in memory that has room for the next tokens.

transformers' own cache is copied whole for every token, which for a batch of texts is more than the weights.
"""

from typing import Any

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

ROOM = 64  # tokens that there is room for after each copy


def growing_cache(config: PretrainedConfig) -> DynamicCache:
    """An empty cache for a model; layers that do not keep all of a text stay transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class GrowingLayer(DynamicLayer):
    """`keys` and `values`, of (batch, heads, tokens, head size), are views of memory that may be longer."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put (batch, heads, new tokens, head size) behind what is there, and return all of it."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            self._memory: tuple[torch.Tensor, torch.Tensor] | None = None
            return self.keys, self.values
        before = self.keys.shape[-2]
        after = before + key_states.shape[-2]
        if self._memory is None or self._memory[0].shape[-2] < after:
            self._memory = _with_room(self.keys, after), _with_room(self.values, after)
        for memory, new in zip(self._memory, (key_states, value_states), strict=True):
            memory[..., before:after, :] = new
        self.keys, self.values = (memory[..., :after, :] for memory in self._memory)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self._memory = None


def _with_room(tensor: torch.Tensor, tokens: int) -> torch.Tensor:
    memory = tensor.new_empty((*tensor.shape[:-2], tokens + ROOM, tensor.shape[-1]))
    memory[..., : tensor.shape[-2], :] = tensor
    return memory
