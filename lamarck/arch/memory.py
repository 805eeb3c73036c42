"""Memories beside attention: kept states, chunk means, fast weights, learned tokens, and a network of one's own."""

import math

import torch
from torch import nn
from transformers import initialization as init

from lamarck.arch.attention import split
from lamarck.arch.context import Context, Slot, appended
from lamarck.arch.genes import AssocMemory, ChunkMemory, MemoryTokens, Retro
from lamarck.arch.scan import features, normalised_scan


def every(context: Context, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(columns (S,) that end a stride in any row, their positions (B, S); -1 in the rows where they end none)"""
    ends = (context.positions >= 0) & ((context.positions + 1) % stride == 0)
    columns = ends.any(0).nonzero().squeeze(1)
    return columns, context.positions[:, columns].masked_fill(~ends[:, columns], -1)


class RetroBranch(nn.Module):
    """A factor per channel times the mean of the kept states, or what attention without projections finds in them."""

    def __init__(self, gene: Retro, dim: int, site: str) -> None:
        super().__init__()
        self.gene, self.site = gene, site
        self.scale = nn.Parameter(torch.empty(dim))
        if gene.aggregator == "gate":
            self.gate_proj = nn.Linear(dim, 1, bias=False)
        if gene.aggregator == "attention":
            self.sharpness = nn.Parameter(torch.empty(1))

    def initialise(self, std: float) -> None:
        init.ones_(self.scale)
        if self.gene.aggregator == "attention":
            init.constant_(self.sharpness, 1 / math.sqrt(self.scale.numel()))

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        slot = context.slot(self.site)
        columns, positions = every(context, self.gene.stride)
        states = appended(slot, "states", x[:, columns], dim=1)  # (B, S, dim)
        positions = appended(slot, "positions", positions, dim=1)  # (B, S)
        query, key = context.positions[:, :, None], positions[:, None, :]
        # Among the last memory_tokens ends of a stride that lie at or before the token.
        seen = (
            (key >= 0)
            & (key <= query)
            & ((query + 1) // self.gene.stride - key // self.gene.stride <= self.gene.memory_tokens)
        )
        scores = x.new_zeros(seen.shape)
        if self.gene.aggregator == "attention":
            scores = x @ states.transpose(1, 2) * self.sharpness
        y = weights_over(scores, seen) @ states
        if self.gene.aggregator == "gate":
            y = y * torch.sigmoid(self.gate_proj(x))
        if context.cache is not None:
            self._forget(slot, states, positions, context)
        return y * self.scale * self.gene.gating_weight

    def _forget(self, slot: Slot, states: torch.Tensor, positions: torch.Tensor, context: Context) -> None:
        reached = (context.positions[:, -1:] + 2) // self.gene.stride - positions // self.gene.stride
        kept = ((positions >= 0) & (reached <= self.gene.memory_tokens)).any(0)
        slot["states"], slot["positions"] = states[:, kept], positions[:, kept]


def weights_over(scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Softmax over the last dimension where `seen`; all zero in a row that sees nothing."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~seen, lowest).softmax(-1) * seen


class Associative(nn.Module):
    """Fast weights: writes k v^T for every token, reads with q (Schlag et al. 2021, arXiv:2102.11174)."""

    def __init__(self, gene: AssocMemory, dim: int, site: str) -> None:
        super().__init__()
        self.gene, self.site = gene, site
        width = gene.heads * gene.head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, width, bias=False) for _ in range(3))
        self.o_proj = nn.Linear(width, dim, bias=False)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        slot = context.slot(self.site)
        q, k, v = (split(each(x), self.gene.heads) for each in (self.q_proj, self.k_proj, self.v_proj))
        k = features(k)
        if context.padded:
            k = k * (context.positions >= 0)[:, None, :, None]
        y, slot["state"] = normalised_scan(features(q), k, v, slot.get("state"))
        return self.o_proj(y.transpose(1, 2).flatten(2)) * self.gene.gating_weight


class LearnedTokens(nn.Module):
    """Attention to keys and values that are weights (Sukhbaatar et al. 2019, arXiv:1907.01470)."""

    def __init__(self, gene: MemoryTokens, dim: int) -> None:
        super().__init__()
        self.gene = gene
        width = gene.heads * gene.head_dim
        self.q_proj = nn.Linear(dim, width, bias=False)
        self.keys = nn.Parameter(torch.empty(gene.heads, gene.tokens, gene.head_dim))
        self.values = nn.Parameter(torch.empty(gene.heads, gene.tokens, gene.head_dim))
        self.o_proj = nn.Linear(width, dim, bias=False)

    def initialise(self, std: float) -> None:
        init.normal_(self.keys, std=1 / math.sqrt(self.gene.head_dim))
        init.normal_(self.values, std=1)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        q = split(self.q_proj(x), self.gene.heads)
        y = (q @ self.keys.transpose(1, 2) / math.sqrt(self.gene.head_dim)).softmax(-1) @ self.values
        return self.o_proj(y.transpose(1, 2).flatten(2)) * self.gene.gating_weight


class Chunks(nn.Module):
    """Attention to the mean of the last `chunk_size` states at the end of every stride."""

    def __init__(self, gene: ChunkMemory, dim: int, site: str) -> None:
        super().__init__()
        self.gene, self.site = gene, site
        width = gene.heads * gene.head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, width, bias=False) for _ in range(3))
        self.o_proj = nn.Linear(width, dim, bias=False)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        slot = context.slot(self.site)
        means, positions = self._means(x, context, slot)
        slot["keys"] = appended(slot, "keys", split(self.k_proj(means), self.gene.heads), dim=2)
        slot["values"] = appended(slot, "values", split(self.v_proj(means), self.gene.heads), dim=2)
        slot["positions"] = appended(slot, "positions", positions, dim=1)
        q, ends = split(self.q_proj(x), self.gene.heads), slot["positions"]
        seen = (ends[:, None, None, :] >= 0) & (ends[:, None, None, :] <= context.positions[:, None, :, None])
        scores = q @ slot["keys"].transpose(-1, -2) / math.sqrt(self.gene.head_dim)
        y = weights_over(scores, seen) @ slot["values"]
        return self.o_proj(y.transpose(1, 2).flatten(2)) * self.gene.gating_weight

    def _means(self, x: torch.Tensor, context: Context, slot: Slot) -> tuple[torch.Tensor, torch.Tensor]:
        """(means (B, S, dim) of the last chunk_size states at the new ends of strides, the ends' positions (B, S))"""
        before, columns_and_ends = self.gene.chunk_size - 1, every(context, self.gene.stride)
        columns, ends = columns_and_ends
        blank = context.blank(x)
        past = slot.get("tail", x.new_zeros(x.shape[0], before, x.shape[2]))
        whole = torch.cat([past, blank], dim=1)
        slot["tail"] = whole[:, whole.shape[1] - before :]
        sums = whole.unfold(1, self.gene.chunk_size, 1)[:, columns].sum(-1)
        return sums / (ends + 1).clamp(1, self.gene.chunk_size)[..., None].to(x.dtype), ends
