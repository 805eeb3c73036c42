"""What a forward pass knows beside the hidden states: positions, padding, and what earlier passes left in the cache."""

from dataclasses import dataclass, field

import torch

from lamarck.arch.pattern import Pattern
from lamarck.arch.rope import Rotation, turn_table

Slot = dict[str, torch.Tensor]  # name -> tensor, batch first


class Cache:
    """What generation keeps between calls: for every branch, and every pass of a recurrence, a slot of tensors."""

    is_compileable = False

    def __init__(self) -> None:
        self.tokens = 0  # columns seen, padding included
        self.slots: dict[str, Slot] = {}

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.tokens

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep the rows that a beam search goes on with; beam_idx: (B,)."""
        for slot in self.slots.values():
            for name, tensor in slot.items():
                slot[name] = tensor.index_select(0, beam_idx.to(tensor.device))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, by the name that transformers' own caches have for it; indices: (rows,)."""
        self.reorder_cache(indices)

    def bytes(self) -> int:
        """Size of everything kept, positions left out: they are the bookkeeping of padded batches."""
        kept = (tensor for slot in self.slots.values() for name, tensor in slot.items() if name != "positions")
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)


@dataclass
class Context:
    """One forward pass over T new tokens of B texts."""

    positions: torch.Tensor  # (B, T), from 0; -1 for padding
    padded: bool  # whether any position is padding
    cache: Cache | None = None
    turn: int = 0  # the pass of a recurrence
    aux: list[torch.Tensor] = field(default_factory=list)  # losses that routers add in training
    _rotations: dict[Rotation, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    _allowed: dict[Pattern, torch.Tensor] = field(default_factory=dict)

    def slot(self, site: str) -> Slot:
        """What this branch left in earlier calls. Without a cache: an empty one that nobody keeps."""
        return {} if self.cache is None else self.cache.slots.setdefault(f"{site}/{self.turn}", {})

    def blank(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, T, C), with zeros at padding: what is summed over time must not see it."""
        return x * (self.positions >= 0).unsqueeze(-1) if self.padded else x

    def rotation(self, rotation: Rotation, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(cos, sin) at `positions` (B, S), each (B, 1, S, head_dim) in float32."""
        if positions is not self.positions:
            return turn_table(rotation, positions)
        if rotation not in self._rotations:
            self._rotations[rotation] = turn_table(rotation, positions)
        return self._rotations[rotation]

    def allowed(self, pattern: Pattern, keys: torch.Tensor) -> torch.Tensor:
        """(B, 1, T, S), true where a new token may attend to the key at `keys` (B, S). No row is empty."""
        if keys is self.positions and pattern in self._allowed:
            return self._allowed[pattern]
        query, key = self.positions[:, None, :, None], keys[:, None, None, :]
        seen = (pattern.sees(query, key) & (key >= 0)) | (query < 0)  # Padding attends anywhere: nobody reads it.
        if keys is self.positions:
            self._allowed[pattern] = seen
        return seen


def appended(slot: Slot, name: str, new: torch.Tensor, dim: int) -> torch.Tensor:
    """What the slot has under `name`, with `new` behind it along `dim`."""
    return torch.cat([slot[name], new], dim) if name in slot else new
