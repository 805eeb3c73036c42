"""A block: branches that each read the normed stream and add to it; and the adapter between passes of a recurrence."""

import torch
from torch import nn
from transformers import initialization as init

from lamarck.arch.attention import LinearAttention, SoftmaxAttention
from lamarck.arch.context import Context
from lamarck.arch.ffn import Experts, FeedForward, dense
from lamarck.arch.genes import (
    AssocMemory,
    Attention,
    Block,
    BranchRouter,
    ChunkMemory,
    Custom,
    DenseFfn,
    Gated,
    LayerScale,
    MemoryTokens,
    MoeFfn,
    Retro,
    Ssm,
)
from lamarck.arch.genome import Model, Recurrence
from lamarck.arch.memory import Associative, Chunks, LearnedTokens, RetroBranch
from lamarck.arch.ssm import StateSpace


def norm_layer(model: Model) -> nn.Module:
    kind = nn.RMSNorm if model.norm == "rmsnorm" else nn.LayerNorm
    return kind(model.emb.dim, eps=model.norm_eps)


def build_branch(gene: object, model: Model, site: str) -> nn.Module:
    """The module of one branch; `site` names its slot in the cache."""
    dim = model.emb.dim
    match gene:
        case Attention():
            return (LinearAttention if gene.kind == "LINEAR" else SoftmaxAttention)(gene, model, site)
        case DenseFfn():
            return dense(gene, dim)
        case MoeFfn():
            return Experts(gene, dim)
        case Ssm():
            return StateSpace(gene, dim, site)
        case Retro():
            return RetroBranch(gene, dim, site)
        case AssocMemory():
            return Associative(gene, dim, site)
        case MemoryTokens():
            return LearnedTokens(gene, dim)
        case ChunkMemory():
            return Chunks(gene, dim, site)
        case Custom():
            return FeedForward(dim, gene.hidden, gene.activation)
    raise TypeError(f"no module is written for {type(gene).__name__}")


def target_of(branch: str) -> str:
    """The name under which routers, scales and gates know a branch: memory0 and memory1 are both memory."""
    return branch.rstrip("0123456789")


class Router(nn.Module):
    """A factor for each target, the mean of which is 1: targets * softmax(logits)."""

    def __init__(self, gene: BranchRouter, model: Model, site: str) -> None:
        super().__init__()
        self.gene, self.site = gene, site
        dim, targets = model.emb.dim, len(gene.targets)
        self.norm = norm_layer(model)
        self.hidden_proj = None if gene.hidden is None else nn.Linear(dim, gene.hidden, bias=False)
        self.logits = nn.Linear(gene.hidden or dim, targets, bias=False)

    def forward(self, x: torch.Tensor, context: Context) -> dict[str, torch.Tensor]:
        """x: (B, T, dim) -> target -> (B, T, 1)"""
        seen = self.norm(x)
        if self.gene.router_type == "sequence":
            seen = self._mean_so_far(seen, context)
        if self.hidden_proj is not None:
            seen = torch.tanh(self.hidden_proj(seen))
        weights = (self.logits(seen) / self.gene.temperature).softmax(-1) * len(self.gene.targets)
        return {target: weights[..., place, None] for place, target in enumerate(self.gene.targets)}

    def _mean_so_far(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim), the mean over this text's tokens up to each."""
        slot = context.slot(self.site)
        wide = context.blank(x).to(torch.promote_types(x.dtype, torch.float32))
        sums = wide.cumsum(1) + slot.get("sum", wide.new_zeros(x.shape[0], 1, x.shape[2]))
        slot["sum"] = sums[:, -1:]
        return (sums / (context.positions + 1).clamp_min(1)[..., None]).to(x.dtype)


class Factors(nn.Module):
    """Learned or fixed factors by target: one a channel (layer_scale), or one for all (gated)."""

    def __init__(self, gene: LayerScale | Gated, dim: int) -> None:
        super().__init__()
        self.targets = gene.targets
        self.start = gene.init if isinstance(gene, LayerScale) else gene.init_weight
        size = dim if isinstance(gene, LayerScale) else 1
        for target in gene.targets:
            self.register_parameter(target, nn.Parameter(torch.empty(size), requires_grad=gene.learnable))

    def initialise(self, std: float) -> None:
        for target in self.targets:
            init.constant_(getattr(self, target), self.start)

    def forward(self, target: str, y: torch.Tensor) -> torch.Tensor:
        """y: (B, T, dim), scaled where the target has a factor."""
        return y * getattr(self, target) if target in self.targets else y


class ArchBlock(nn.Module):
    def __init__(self, gene: Block, model: Model, place: int) -> None:
        super().__init__()
        self.gene = gene
        self.norms = nn.ModuleDict({name: norm_layer(model) for name in gene.branches})
        self.branches = nn.ModuleDict(
            {name: build_branch(each, model, f"{place}.{name}") for name, each in gene.branches.items()}
        )
        router, scale, gate = (gene.extra(kind) for kind in ("branch_router", "layer_scale", "gated"))
        self.router = None if router is None else Router(router, model, f"{place}.router")
        self.layer_scale = None if scale is None else Factors(scale, model.emb.dim)
        self.gated = None if gate is None else Factors(gate, model.emb.dim)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        weights = {} if self.router is None else self.router(x, context)
        for name, branch in self.branches.items():
            y, target = branch(self.norms[name](x), context), target_of(name)
            for factors in (self.layer_scale, self.gated):
                y = y if factors is None else factors(target, y)
            x = x + (y * weights[target] if target in weights else y)
        return x


class PassAdapter(nn.Module):
    """Between two passes over a span: what goes in again, and how much of the pass counts."""

    def __init__(self, gene: Recurrence, dim: int) -> None:
        super().__init__()
        self.gene = gene
        self.state_proj = nn.Linear(dim, dim, bias=False)
        self.prelude_proj = nn.Linear(dim, dim, bias=False) if gene.concat_prelude else None
        self.gate_proj = nn.Linear(dim, dim, bias=False) if gene.adapter == "gated" else None
        self.mix = nn.Parameter(torch.empty(dim))

    def initialise(self, std: float) -> None:
        init.ones_(self.mix)

    def forward(self, state: torch.Tensor, prelude: torch.Tensor) -> torch.Tensor:
        """The input of the next pass; state, prelude: (B, T, dim) -> (B, T, dim)"""
        added = self.state_proj(state)
        if self.prelude_proj is not None:
            added = added + self.prelude_proj(prelude)
        if self.gate_proj is not None:
            added = torch.sigmoid(self.gate_proj(state)) * torch.tanh(added)
        return state + added
