"""Softmax attention of every kind and pattern, and linear attention."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from lamarck.arch.context import Context, appended
from lamarck.arch.genes import Attention as AttentionGene
from lamarck.arch.genome import Model
from lamarck.arch.rope import Rotation, rotate
from lamarck.arch.scan import features, normalised_scan

LEVELS = 127  # of int8, either side of zero
NORM_EPS = 1e-6  # of queries and keys; the stream's own follows its width
TIE = 1e-5  # relative difference of two scores that rounding may make


def quantised(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x: (..., D) as (int8 codes (..., D), scale (..., 1)), symmetric, the largest entry at level 127."""
    scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / LEVELS
    return (x / scale).round().to(torch.int8), scale


class Gate(nn.Module):
    """z * 2 sigmoid(g): zero weights leave z as it is. dense: g = W x, from the stream; diagonal: g = w * z."""

    def __init__(self, op: str, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.op = op
        shape = (heads * head_dim, dim) if op == "dense" else (heads, 1, head_dim)
        self.weight = nn.Parameter(torch.empty(shape))

    def initialise(self, std: float) -> None:
        init.normal_(self.weight, std=std)

    def forward(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """z: (B, H, T, head_dim), x: (B, T, dim) -> (B, H, T, head_dim)"""
        if self.op == "diagonal":
            return z * 2 * torch.sigmoid(self.weight * z)
        return z * 2 * torch.sigmoid(split(F.linear(x, self.weight), z.shape[1]))


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """x: (B, T, heads * D) -> (B, heads, T, D)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class AttentionBase(nn.Module):
    """Projections and gates, which softmax and linear attention share."""

    def __init__(self, gene: AttentionGene, model: Model, site: str) -> None:
        super().__init__()
        self.gene, self.site = gene, site
        dim, width, kv_width = model.emb.dim, gene.heads * gene.head_dim, gene.kv_heads * gene.head_dim
        latent = model.latent_dim(gene)
        self.q_proj = nn.Linear(dim, width, bias=False)
        if latent is not None:
            self.kv_down = nn.Linear(dim, latent, bias=False)
        self.k_proj = nn.Linear(latent or dim, kv_width, bias=False)
        self.v_proj = nn.Linear(latent or dim, kv_width, bias=False)
        self.o_proj = nn.Linear(width, dim, bias=False)
        self.gate = None
        if gene.gating_pos != "none":
            heads = gene.heads if gene.gating_pos == "output" else gene.kv_heads
            self.gate = Gate(gene.gating_op, dim, heads, gene.head_dim)

    def values(self, x: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Values made from `source` (B, T, latent or dim), gated by x (B, T, dim): (B, kv_heads, T, head_dim)"""
        v = split(self.v_proj(source), self.gene.kv_heads)
        return self.gate(v, x) if self.gate is not None and self.gene.gating_pos == "value" else v

    def out(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """y: (B, heads, T, head_dim) -> (B, T, dim)"""
        if self.gate is not None and self.gene.gating_pos == "output":
            y = self.gate(y, x)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class LinearAttention(AttentionBase):
    """A running sum of outer products instead of keys (Katharopoulos et al. 2020, arXiv:2006.16236)."""

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        slot, repeats = context.slot(self.site), self.gene.heads // self.gene.kv_heads
        q = features(split(self.q_proj(x), self.gene.heads))
        k = features(split(self.k_proj(x), self.gene.kv_heads))
        if context.padded:
            k = k * (context.positions >= 0)[:, None, :, None]
        v = self.values(x, x)
        k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        y, slot["state"] = normalised_scan(q, k, v, slot.get("state"))
        return self.out(y, x)


class SoftmaxAttention(AttentionBase):
    """MHA, GQA, MQA (arXiv:2305.13245) and MLA: keys and values cached, or the latent that they are made from."""

    def __init__(self, gene: AttentionGene, model: Model, site: str) -> None:
        super().__init__(gene, model, site)
        self.pattern = model.pattern(gene)
        self.latent = model.latent_dim(gene) is not None
        self.int8 = model.kv_policy.quant == "int8"
        self.rotation = None
        if gene.rope != "none":
            self.rotation = Rotation(gene.rope, gene.head_dim, gene.rope_theta, gene.rope_factor, gene.rope_context)
        # Latents and a selector that compares before the rotation need keys that are not yet turned.
        self.turns_late = self.latent or (gene.selector != "none" and gene.selector_rope == "none")
        if gene.qk_norm == "rms":
            self.q_norm = nn.RMSNorm(gene.head_dim, eps=NORM_EPS)
            self.k_norm = nn.RMSNorm(gene.head_dim, eps=NORM_EPS)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """x: (B, T, dim) -> (B, T, dim)"""
        q = self._normed(split(self.q_proj(x), self.gene.heads), "q_norm")
        k, v, positions = self._keys_and_values(x, context)
        plain_q, plain_k = q, k
        if self.rotation is not None:
            q = rotate(q, context.rotation(self.rotation, context.positions))
            if self.turns_late:
                k = rotate(k, context.rotation(self.rotation, positions))
        before = self.gene.selector_rope == "none"
        mask = self._mask(context, positions, plain_q if before else q, plain_k if before else k)
        causal = mask is None and q.shape[2] > 1
        grouped = self.gene.kv_heads != self.gene.heads
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
        return self.out(y, x)

    def _keys_and_values(self, x: torch.Tensor, context: Context) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(k, v, positions) of all tokens that are still kept, the new ones last: (B, kv_heads, S, head_dim), (B, S)"""
        slot = context.slot(self.site)
        positions = appended(slot, "positions", context.positions, dim=1)
        if self.latent:
            source = self._kept(slot, "latent", self.kv_down(x).unsqueeze(1)).squeeze(1)  # (B, S, latent)
            v = split(self.v_proj(source), self.gene.kv_heads)
            k = self._normed(split(self.k_proj(source), self.gene.kv_heads), "k_norm")
        else:
            k = self._normed(split(self.k_proj(x), self.gene.kv_heads), "k_norm")
            if self.rotation is not None and not self.turns_late:
                k = rotate(k, context.rotation(self.rotation, context.positions))
            k, v = self._kept(slot, "keys", k), self._kept(slot, "values", self.values(x, x))
        if context.cache is not None:
            slot["positions"] = positions
            self._forget(slot, context)
        return k, v, positions

    def _kept(self, slot: dict[str, torch.Tensor], name: str, new: torch.Tensor) -> torch.Tensor:
        """`new` (B, H, T, D) behind what the slot has, which goes into the slot; int8: as the codes give it back."""
        if not self.int8:
            slot[name] = appended(slot, name, new, dim=2)
            return slot[name]
        codes, scale = quantised(new)
        past = (slot[name], slot[f"{name}_scale"]) if name in slot else None
        slot[name] = appended(slot, name, codes, dim=2)
        slot[f"{name}_scale"] = appended(slot, f"{name}_scale", scale, dim=2)
        # Rounding has no slope: the gradient passes as if it were not there (straight-through).
        rounded = new + (codes * scale - new).detach()
        return rounded if past is None else torch.cat([past[0] * past[1], rounded], dim=2)

    def _forget(self, slot: dict[str, torch.Tensor], context: Context) -> None:
        """Drop from the slot what no later token can see."""
        following = context.positions[:, -1:] + 1
        kept = (self.pattern.keeps(following, slot["positions"]) & (slot["positions"] >= 0)).any(0)
        if not bool(kept.all()):
            for name, tensor in slot.items():
                slot[name] = tensor[:, kept] if name == "positions" else tensor[:, :, kept]

    def _normed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Queries or keys (B, H, T, head_dim), normed as the genome says."""
        if self.gene.qk_norm == "rms":
            return getattr(self, name)(x)
        if self.gene.qk_norm_max is not None:
            size = x.pow(2).mean(-1, keepdim=True).add(1e-12).sqrt()
            return x * (self.gene.qk_norm_max / size).clamp_max(1)
        return x

    def _mask(self, context: Context, positions: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor | None:
        """What is added to the scores (B, 1 or heads, T, S), or which may be seen; None: every earlier token."""
        selects, new = self.gene.selector != "none", q.shape[2]
        everything = self.pattern.dense and not selects and not context.padded
        if everything and not self.gene.alibi and (new == 1 or new == positions.shape[1]):
            return None
        allowed = context.allowed(self.pattern, positions)
        if selects:
            allowed = self._selected(allowed, q, k)
        if not self.gene.alibi:
            return allowed
        distance = (context.positions[:, None, :, None] - positions[:, None, None, :]).to(q.dtype)
        slopes = torch.tensor(alibi_slopes(self.gene.heads), device=q.device, dtype=q.dtype)[:, None, None]
        return (-slopes * distance).masked_fill(~allowed, float("-inf"))

    def _selected(self, allowed: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Of the allowed keys (B, 1, T, S) the `selector_topk` that score best, and the token itself."""
        heads, dim = self.gene.selector_heads or 1, self.gene.selector_dim or 1
        k = k.repeat_interleave(self.gene.heads // self.gene.kv_heads, dim=1)
        scores = q[:, :heads, :, :dim] @ k[:, :heads, :, :dim].transpose(-1, -2)
        scores = scores.masked_fill(~allowed, float("-inf"))
        last = scores.topk(min(self.gene.selector_topk or 1, k.shape[2])).values[..., -1:]
        # The same token twice scores the same but for rounding: what ties with the last one chosen is chosen too.
        chosen = (scores >= last - TIE * last.abs()).any(1, keepdim=True)
        new, kept = scores.shape[-2:]
        itself = torch.eye(new, dtype=torch.bool, device=q.device)
        chosen[..., kept - new :] |= itself
        return chosen & allowed


def alibi_slopes(heads: int) -> list[float]:
    """A geometric sequence that ends at 1/256 (Press et al. 2021, arXiv:2108.12409), for any number of heads."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    return slopes + [2 ** (-4 * (2 * head + 1) / power) for head in range(heads - power)]
