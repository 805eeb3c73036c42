"""The genes of one block: what each kind of branch can say, and what must be said together."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section

AttentionKind = Literal["MHA", "GQA", "MQA", "MLA", "LINEAR"]
Activation = Literal["swiglu", "gelu", "silu", "relu"]
Target = Literal["attn", "ssm", "ffn", "memory"]
TARGETS: tuple[Target, ...] = ("attn", "ssm", "ffn", "memory")


class Attention(Section):
    """Attention of one block. What a pattern, a selector or a rotation needs is required with it, and only with it."""

    kind: AttentionKind = Field("MHA", description="MLA: arXiv:2405.04434; LINEAR: arXiv:2006.16236, features elu + 1.")
    heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    kv_heads: int = Field(ge=1, description="Heads of keys and values; left out: what `kind` says (GQA: 4 or fewer).")
    kv_latent_dim: int | None = Field(
        None, ge=1, description="MLA only: keys and values are made from so many numbers."
    )
    rope: Literal["none", "standard", "linear", "ntk", "yarn"] = Field(
        "none", description="Rotary positions, arXiv:2104.09864; yarn: arXiv:2309.00071."
    )
    rope_theta: float = Field(10000.0, gt=1)
    rope_factor: float = Field(1.0, ge=1, description="Extension of the context: linear, ntk and yarn.")
    rope_context: int = Field(2048, ge=8, description="yarn: the context, in tokens, that is extended.")
    alibi: bool = Field(False, description="Linear bias by distance, arXiv:2108.12409.")
    sparsity: Literal["none", "sliding", "block", "local_global", "dilated", "local_block"] = "none"
    window: int | None = Field(
        None, ge=1, description="sliding, local_global, local_block: tokens seen, itself included."
    )
    block_size: int | None = Field(None, ge=1, description="block, local_block.")
    block_stride: int | None = Field(None, ge=2, description="local_block: a block starts every so many tokens.")
    global_stride: int | None = Field(None, ge=2, description="local_global: every so-manyth token is seen by all.")
    dilation: int | None = Field(None, ge=2, description="dilated: only tokens at multiples of this distance are seen.")
    selector: Literal["none", "dsa"] = Field(
        "none", description="dsa: the keys that score best on a part of the heads."
    )
    selector_topk: int | None = Field(None, ge=1, description="Keys that each query keeps, beside itself.")
    selector_heads: int | None = Field(None, ge=1, description="The first so many heads choose, for all.")
    selector_dim: int | None = Field(None, ge=1, description="They compare so many of their dimensions.")
    selector_rope: Literal["none", "full"] = Field("full", description="none: they compare before the rotation.")
    gating_pos: Literal["none", "output", "value"] = Field("none", description="What is gated; arXiv:2505.06708.")
    gating_op: Literal["dense", "diagonal"] = Field(
        "dense", description="From the whole stream, or by its own channel."
    )
    qk_norm: Literal["none", "rms", "clamp"] = Field("none", description="rms: learned, per head, arXiv:2010.04245.")
    qk_norm_max: float | None = Field(None, gt=0, description="clamp: largest root mean square of a query or key.")

    @model_validator(mode="before")
    @classmethod
    def _fill_kv_heads(cls, values: Any) -> Any:
        heads = values.get("heads") if isinstance(values, dict) else None
        if isinstance(heads, int) and values.get("kv_heads") is None:
            kind = values.get("kind", "MHA")
            return {**values, "kv_heads": 1 if kind == "MQA" else math.gcd(heads, 4) if kind == "GQA" else heads}
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> "Attention":
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} kv_heads evenly")
        if self.kind == "MHA" and self.kv_heads != self.heads:
            raise ValueError(f"MHA has as many kv_heads as heads, not {self.kv_heads}: write kind: GQA")
        if self.kind == "MQA" and self.kv_heads != 1:
            raise ValueError(f"MQA has one kv_head, not {self.kv_heads}: write kind: GQA")
        if self.rope != "none" and self.head_dim % 2:
            raise ValueError(f"rope turns pairs: head_dim must be even, not {self.head_dim}")
        if self.kind == "MLA" and self.gating_pos == "value":
            raise ValueError("MLA makes its values from the latent: gate its output, not its values")
        if self.rope in ("none", "standard") and self.rope_factor != 1:
            raise ValueError(f"rope: {self.rope} takes no rope_factor")
        if self.selector != "none":
            if (self.selector_heads or 0) > self.heads or (self.selector_dim or 0) > self.head_dim:
                raise ValueError("a selector compares no more than the heads and head_dim that there are")
            if self.selector_rope == "none" and self.rope == "none":
                raise ValueError("selector_rope: none says something only where there is a rope")
        if self.block_size and self.block_stride and self.block_size >= self.block_stride:
            raise ValueError("local_block needs a block_size below its block_stride, else every token is seen")
        if self.kind == "LINEAR" and (used := [name for name in _NOT_LINEAR if getattr(self, name) not in _UNUSED]):
            raise ValueError(f"LINEAR attention keeps a sum, no keys: it takes no {used[0]}")
        for name, wanted in self._belongings().items():
            if wanted != (getattr(self, name) is not None):
                raise ValueError(f"{name} is missing" if wanted else f"{name} has no use here")
        return self

    def _belongings(self) -> dict[str, bool]:
        """Optional field -> whether it must be there."""
        selects = self.selector != "none"
        return {
            "kv_latent_dim": self.kind == "MLA",
            "window": self.sparsity in ("sliding", "local_global", "local_block"),
            "block_size": self.sparsity in ("block", "local_block"),
            "block_stride": self.sparsity == "local_block",
            "global_stride": self.sparsity == "local_global",
            "dilation": self.sparsity == "dilated",
            "selector_topk": selects,
            "selector_heads": selects,
            "selector_dim": selects,
            "qk_norm_max": self.qk_norm == "clamp",
        }


_NOT_LINEAR = ("rope", "alibi", "sparsity", "selector", "qk_norm")
_UNUSED = ("none", False)


class DenseFfn(Section):
    type: Literal["dense"]
    hidden: int = Field(ge=1)
    activation: Activation = "swiglu"


class MoeFfn(Section):
    """Experts, of which each token uses the k that its router likes best; their weights sum to 1.

    There is no capacity: dropping tokens when a batch fills an expert makes one text depend on its neighbours.
    """

    type: Literal["moe"]
    hidden: int = Field(ge=1, description="Of one expert.")
    activation: Activation = "swiglu"
    n_experts: int = Field(ge=2)
    k: int = Field(2, ge=1)
    shared: int = Field(0, ge=0, description="Experts that every token uses as well; arXiv:2401.06066.")
    router_type: Literal["softmax", "sigmoid"] = "softmax"
    router_temperature: float = Field(1.0, gt=0)
    balance: float = Field(0.01, ge=0, description="Weight of the load-balancing loss, arXiv:2101.03961, equation 4.")
    z_loss: float = Field(0.0, ge=0, description="Weight of the router's z-loss, arXiv:2202.08906, equation 5.")

    @model_validator(mode="after")
    def _enough_experts(self) -> "MoeFfn":
        if self.k > self.n_experts:
            raise ValueError(f"a token cannot use {self.k} of {self.n_experts} experts")
        return self


Ffn = Annotated[DenseFfn | MoeFfn, Field(discriminator="type")]


class Ssm(Section):
    """A state-space branch. mamba2: input-dependent, arXiv:2405.21060; ssm: diagonal and time-invariant, as S4D."""

    kind: Literal["mamba2", "ssm"] = "mamba2"
    d_inner: int = Field(ge=1)
    d_state: int = Field(ge=1)
    d_conv: int = Field(4, ge=1, description="Taps of the causal convolution before it.")
    heads: int = Field(1, ge=1, description="Groups of channels that decay alike.")
    chunk: int = Field(64, ge=1, description="Tokens computed at once; changes speed and memory, not the result.")

    @model_validator(mode="after")
    def _heads_divide(self) -> "Ssm":
        if self.d_inner % self.heads:
            raise ValueError(f"d_inner {self.d_inner} cannot be split into {self.heads} heads")
        return self


class Retro(Section):
    """Looks back at the last `memory_tokens` states that were kept, one every `stride` tokens."""

    type: Literal["retro"]
    memory_tokens: int = Field(ge=1)
    stride: int = Field(ge=1)
    aggregator: Literal["mean", "attention", "gate"] = "gate"
    gating_weight: float = Field(0.5, gt=0)


class AssocMemory(Section):
    """Fast weights: a matrix a head that every token writes to and reads from; arXiv:2102.11174, features elu + 1."""

    type: Literal["assoc_memory"]
    heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    gating_weight: float = Field(0.1, gt=0)


class MemoryTokens(Section):
    """Learned keys and values that every token may read; arXiv:1907.01470."""

    type: Literal["memory_tokens"]
    tokens: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    gating_weight: float = Field(0.1, gt=0)


class ChunkMemory(Section):
    """Attention to means of the last `chunk_size` states, one taken every `stride` tokens."""

    type: Literal["chunk_memory"]
    chunk_size: int = Field(ge=1)
    stride: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    gating_weight: float = Field(0.1, gt=0)


class Custom(Section):
    """A small network beside the others, under a name of its own."""

    type: Literal["custom"]
    name: str
    hidden: int = Field(ge=1)
    activation: Activation = "relu"


class BranchRouter(Section):
    """Weighs the block's branches, by token or by the mean of the tokens so far; equal weights change nothing."""

    type: Literal["branch_router"]
    targets: tuple[Target, ...] = Field(TARGETS, min_length=2)
    router_type: Literal["token", "sequence"] = "token"
    hidden: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, gt=0)


class LayerScale(Section):
    """A factor for every channel of a branch's output; arXiv:2103.17239."""

    type: Literal["layer_scale"]
    targets: tuple[Target, ...] = Field(("attn", "ffn"), min_length=1)
    init: float = Field(1e-2, gt=0, description="Of a model from nothing; a child whose parent had none begins at 1.")
    learnable: bool = True


class Gated(Section):
    """One factor for a branch's whole output."""

    type: Literal["gated"]
    targets: tuple[Target, ...] = Field(("attn", "ffn"), min_length=1)
    init_weight: float = Field(
        0.1, gt=0, description="Of a model from nothing; a child whose parent had none begins at 1."
    )
    learnable: bool = True


Memory = Retro | AssocMemory | MemoryTokens | ChunkMemory | Custom
Extra = Annotated[
    Retro | AssocMemory | MemoryTokens | ChunkMemory | Custom | BranchRouter | LayerScale | Gated,
    Field(discriminator="type"),
]


class Block(Section):
    """Branches that each read the normed stream and add to it, in this order: attn, ssm, ffn, memories."""

    attn: Attention | None = None
    ssm: Ssm | None = None
    ffn: Ffn | None = None
    extras: tuple[Extra, ...] = ()

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> "Block":
        if not any((self.attn, self.ssm, self.ffn, self.memories)):
            raise ValueError("a block needs attn, ssm, ffn or a memory")
        modifiers = [each.type for each in self.extras if isinstance(each, BranchRouter | LayerScale | Gated)]
        if repeated := next((kind for kind in modifiers if modifiers.count(kind) > 1), None):
            raise ValueError(f"a block takes one {repeated}")
        return self

    @property
    def memories(self) -> tuple[Memory, ...]:
        return tuple(each for each in self.extras if isinstance(each, Memory))

    def extra(self, kind: str) -> Any:
        """The first extra of that type, or None."""
        return next((each for each in self.extras if each.type == kind), None)

    @property
    def branches(self) -> dict[str, Section]:
        """Name -> gene, in the order of computation; the memories are named by their place: memory0, memory1."""
        own = {"attn": self.attn, "ssm": self.ssm, "ffn": self.ffn}
        named = {name: gene for name, gene in own.items() if gene is not None}
        return named | {f"memory{place}": gene for place, gene in enumerate(self.memories)}
