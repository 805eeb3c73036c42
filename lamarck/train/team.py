"""The processes of one training run: each computes its rows of a batch; what all must agree on is settled here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

V = TypeVar("V")


@dataclass(frozen=True)
class Team:
    """One process, as seen by itself. With `size` 1 nothing is sent anywhere; else torch.distributed is initialised."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """The one process that speaks, and writes files."""
        return self.rank == 0

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the sum of all processes' gradients, in place."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:  # not reached by these rows, perhaps by another process's
                parameter.grad = torch.zeros_like(parameter)
        pending = [dist.all_reduce(parameter.grad, async_op=True) for parameter in parameters]
        for work in pending:
            work.wait()

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """The sum of every process's `value`."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def leaders(self, value: float) -> float:
        """The leader's `value`: clocks differ, and all must draw the same conclusion from them."""
        if self.size == 1:
            return value
        said = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(said, src=0)
        return said.item()

    def gather(self, value: V) -> list[V]:
        """Every process's `value`, by rank."""
        if self.size == 1:
            return [value]
        values: list[V | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # each is filled


def alone(device: torch.device) -> Team:
    return Team(0, 1, device)
