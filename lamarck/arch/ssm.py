"""State-space branches: a causal convolution, then a decaying sum over all earlier tokens."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from lamarck.arch.context import Context
from lamarck.arch.genes import Ssm
from lamarck.arch.scan import scan

# Steps and decays at the start, as in Mamba (Gu & Dao 2023, arXiv:2312.00752, section 3.6).
STEPS = (1e-3, 1e-1)
DECAYS = (1.0, 16.0)


class StateSpace(nn.Module):
    """out(y * silu(z)), where y is the state-space sum over the convolved x, and x and z are projections."""

    def __init__(self, gene: Ssm, dim: int, site: str) -> None:
        super().__init__()
        self.gene, self.site = gene, site
        self.x_proj = nn.Linear(dim, gene.d_inner, bias=False)
        self.z_proj = nn.Linear(dim, gene.d_inner, bias=False)
        self.conv = nn.Parameter(torch.empty(gene.d_inner, gene.d_conv))
        self.skip = nn.Parameter(torch.empty(gene.d_inner))
        self.step_bias = nn.Parameter(torch.empty(gene.heads))
        if gene.kind == "mamba2":
            self.b_proj = nn.Linear(dim, gene.d_state, bias=False)
            self.c_proj = nn.Linear(dim, gene.d_state, bias=False)
            self.step_proj = nn.Linear(dim, gene.heads, bias=False)
            self.decay = nn.Parameter(torch.empty(gene.heads))
        else:
            self.read = nn.Parameter(torch.empty(gene.heads, gene.d_state))
            self.decay = nn.Parameter(torch.empty(gene.heads, gene.d_state))
        self.out_proj = nn.Linear(gene.d_inner, dim, bias=False)

    def initialise(self, std: float) -> None:
        init.normal_(self.conv, std=1 / math.sqrt(self.gene.d_conv))
        init.ones_(self.skip)
        steps = torch.logspace(*(math.log10(each) for each in STEPS), self.gene.heads)
        init.copy_(self.step_bias, steps.expm1().log())  # softplus of it is the step
        decays = torch.linspace(*DECAYS, self.decay.numel()).log().view_as(self.decay)
        init.copy_(self.decay, decays)
        if self.gene.kind == "ssm":
            init.normal_(self.read, std=1 / math.sqrt(self.gene.d_state))

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        slot = context.slot(self.site)
        inner = context.blank(self.x_proj(x)).transpose(1, 2)  # (B, inner, T)
        inner = context.blank(F.silu(self._convolved(inner, slot)).transpose(1, 2))  # (B, T, inner)
        heads = inner.unflatten(-1, (self.gene.heads, -1)).transpose(1, 2)  # (B, heads, T, P)
        y = self._selective(x, heads, context) if self.gene.kind == "mamba2" else self._invariant(heads, context)
        y = y.transpose(1, 2).flatten(2) + self.skip * inner
        return self.out_proj(y * F.silu(self.z_proj(x)))

    def _convolved(self, inner: torch.Tensor, slot: dict[str, torch.Tensor]) -> torch.Tensor:
        """inner: (B, inner, T), each channel with its own taps over itself and the d_conv - 1 before."""
        before = self.gene.d_conv - 1
        past = slot.get("tail", inner.new_zeros(*inner.shape[:2], before))
        whole = torch.cat([past, inner], dim=-1)
        slot["tail"] = whole[..., whole.shape[-1] - before :]
        return F.conv1d(whole, self.conv.unsqueeze(1), groups=self.gene.d_inner)

    def _selective(self, x: torch.Tensor, heads: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim), heads: (B, heads, T, P) -> (B, heads, T, P). Steps, writing and reading follow the input."""
        slot, groups = context.slot(self.site), self.gene.heads
        steps = context.blank(F.softplus(self.step_proj(x) + self.step_bias)).transpose(1, 2)  # (B, heads, T)
        write, read = (p(x).unsqueeze(1).expand(-1, groups, -1, -1) for p in (self.b_proj, self.c_proj))
        decay = -self.decay.exp()[:, None] * steps
        y, slot["state"] = scan(read, write, heads * steps[..., None], slot.get("state"), decay, self.gene.chunk)
        return y

    def _invariant(self, heads: torch.Tensor, context: Context) -> torch.Tensor:
        """heads: (B, heads, T, P) -> (B, heads, T, P). Each state decays at its own constant rate."""
        slot, states = context.slot(self.site), self.gene.d_state
        batch, groups, tokens, _ = heads.shape
        steps = F.softplus(self.step_bias)[:, None]  # (heads, 1)
        rate = (-self.decay.exp() * steps).flatten()  # (heads * states)
        decay = rate[None, :, None].expand(batch, -1, tokens)
        if context.padded:
            decay = decay * (context.positions >= 0)[:, None, :]
        ones = heads.new_ones(batch, groups * states, tokens, 1)
        value = (heads * steps[..., None]).repeat_interleave(states, dim=1)
        y, slot["state"] = scan(ones, ones, value, slot.get("state"), decay, self.gene.chunk)
        return torch.einsum("bhntp,hn->bhtp", y.unflatten(1, (groups, states)), self.read)
