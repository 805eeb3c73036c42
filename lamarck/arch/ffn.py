"""Feed-forward networks: dense, and experts that a router chooses among."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from lamarck.arch.context import Context
from lamarck.arch.genes import DenseFfn, MoeFfn

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "swiglu": F.silu,
    "silu": F.silu,
    "gelu": F.gelu,
    "relu": F.relu,
}


class FeedForward(nn.Module):
    """down(act(up x)); swiglu: down(silu(gate x) * up x), Shazeer 2020, arXiv:2002.05202."""

    def __init__(self, dim: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.gate_proj = nn.Linear(dim, hidden, bias=False) if activation == "swiglu" else None
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        """x: (..., dim) -> (..., dim)"""
        act, up = ACTIVATIONS[self.activation], self.up_proj(x)
        return self.down_proj(act(up) if self.gate_proj is None else act(self.gate_proj(x)) * up)


def dense(gene: DenseFfn, dim: int) -> FeedForward:
    return FeedForward(dim, gene.hidden, gene.activation)


class Experts(nn.Module):
    """Each token's k best experts, weighted to a sum of 1, and the shared ones on top. No token is dropped."""

    def __init__(self, gene: MoeFfn, dim: int) -> None:
        super().__init__()
        self.gene = gene
        self.router = nn.Linear(dim, gene.n_experts, bias=False)
        shape = (gene.n_experts, gene.hidden, dim)
        self.gate_proj = nn.Parameter(torch.empty(shape)) if gene.activation == "swiglu" else None
        self.up_proj = nn.Parameter(torch.empty(shape))
        self.down_proj = nn.Parameter(torch.empty(gene.n_experts, dim, gene.hidden))
        self.shared = nn.ModuleList(FeedForward(dim, gene.hidden, gene.activation) for _ in range(gene.shared))

    def initialise(self, std: float) -> None:
        for stack in (self.gate_proj, self.up_proj, self.down_proj):
            if stack is not None:
                init.normal_(stack, std=std)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        flat = x.flatten(0, 1)  # (N, dim)
        logits = self.router(flat).float() if x.dtype == torch.bfloat16 else self.router(flat)
        logits = logits / self.gene.router_temperature  # (N, experts)
        best, chosen = logits.topk(self.gene.k, dim=-1)  # (N, k)
        if self.training:
            self._add_losses(logits, chosen, context)
        weights = best.softmax(-1)
        if self.gene.router_type == "sigmoid":
            weights = best.sigmoid() / best.sigmoid().sum(-1, keepdim=True).clamp_min(1e-12)
        y = torch.zeros_like(flat)
        for expert in range(self.gene.n_experts):
            rows, places = (chosen == expert).nonzero(as_tuple=True)
            share = weights[rows, places, None].to(x.dtype)
            y = y.index_add(0, rows, (self._expert(flat[rows], expert) * share).to(y.dtype))
        return sum((each(flat) for each in self.shared), start=y).view_as(x)

    def _expert(self, x: torch.Tensor, expert: int) -> torch.Tensor:
        """x: (n, dim) -> (n, dim)"""
        act, up = ACTIVATIONS[self.gene.activation], F.linear(x, self.up_proj[expert])
        hidden = act(up) if self.gate_proj is None else act(F.linear(x, self.gate_proj[expert])) * up
        return F.linear(hidden, self.down_proj[expert])

    def _add_losses(self, logits: torch.Tensor, chosen: torch.Tensor, context: Context) -> None:
        """logits: (N, experts), chosen: (N, k). Padding counts for nothing."""
        if context.padded:
            real = (context.positions >= 0).flatten()
            logits, chosen = logits[real], chosen[real]
        if self.gene.balance:
            used = F.one_hot(chosen, self.gene.n_experts).to(logits.dtype).sum(1).mean(0) / self.gene.k
            wanted = logits.softmax(-1).mean(0)
            context.aux.append(self.gene.balance * self.gene.n_experts * (used * wanted).sum())
        if self.gene.z_loss:
            context.aux.append(self.gene.z_loss * logits.logsumexp(-1).pow(2).mean())
