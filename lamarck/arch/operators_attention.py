"""Operators on attention, its positions and its cache."""

import random
from math import gcd

from lamarck.arch.edit import Edit, Propose, at_a_gene, in_place, other
from lamarck.arch.genes import Attention
from lamarck.arch.genome import Genome, KvPolicy, changed

# What an attention without keys cannot have.
BARE = {
    "rope": "none",
    "rope_factor": 1.0,
    "alibi": False,
    "sparsity": "none",
    "selector": "none",
    "selector_rope": "full",
    "qk_norm": "none",
} | dict.fromkeys(
    (
        "kv_latent_dim", "window", "block_size", "block_stride", "global_stride", "dilation", "selector_topk",
        "selector_heads", "selector_dim", "qk_norm_max",
    )
)  # fmt: skip
NO_SPARSITY = dict.fromkeys(("window", "block_size", "block_stride", "global_stride", "dilation"))
NO_SELECTOR = dict.fromkeys(("selector_topk", "selector_heads", "selector_dim"))


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _kind_for(heads: int, kv_heads: int) -> str:
    return "MHA" if kv_heads == heads else "MQA" if kv_heads == 1 else "GQA"


def make_gqa(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    if attn.kind not in ("MHA", "MQA") or attn.heads < 2:
        return None
    fewer = gcd(attn.heads, 4)
    return changed(attn, kind="GQA", kv_heads=fewer if fewer < attn.heads else max(1, attn.heads // 2))


def tune_kv(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    kv_heads = other(rng, _divisors(attn.heads), attn.kv_heads)
    kind = attn.kind if attn.kind in ("LINEAR", "MLA") else _kind_for(attn.heads, kv_heads)
    return changed(attn, kind=kind, kv_heads=kv_heads)


def tune_attn_shape(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    """Other heads over the same width, or one group of heads more."""
    group = attn.heads // attn.kv_heads
    if rng.random() < 0.5:
        heads, kv_heads, head_dim = attn.heads + group, attn.kv_heads + 1, attn.head_dim
        kind = attn.kind if attn.kind in ("LINEAR", "MLA") else _kind_for(heads, kv_heads)
        if kind == "MQA":
            return None
        return changed(attn, kind=kind, heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    width = attn.heads * attn.head_dim
    heads = other(rng, [each for each in _divisors(width) if 2 <= each <= 16 and width // each % 2 == 0], attn.heads)
    kv_heads = rng.choice(_divisors(heads))
    kind = attn.kind if attn.kind in ("LINEAR", "MLA") else _kind_for(heads, kv_heads)
    return changed(attn, kind=kind, heads=heads, kv_heads=kv_heads, head_dim=width // heads)


def toggle_linear_attention(attn: Attention, genome: Genome, rng: random.Random) -> Attention:
    if attn.kind == "LINEAR":
        return changed(attn, kind=_kind_for(attn.heads, attn.kv_heads), rope=rng.choice(["none", "standard"]))
    return changed(attn, kind="LINEAR", **BARE)


def toggle_mla_attention(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    if attn.kind == "MLA":
        return changed(attn, kind=_kind_for(attn.heads, attn.kv_heads), kv_latent_dim=None)
    if attn.kind == "LINEAR":
        return None
    gate = {"gating_pos": "output"} if attn.gating_pos == "value" else {}
    full = attn.kv_heads * attn.head_dim
    return changed(attn, kind="MLA", kv_latent_dim=rng.choice([max(1, full // 4), max(1, full // 2), full]), **gate)


def tune_attn_gating(attn: Attention, genome: Genome, rng: random.Random) -> Attention:
    operation = rng.choice(["dense", "diagonal"])
    if attn.gating_pos == "none":
        return changed(attn, gating_pos=rng.choice(["output", "value"]), gating_op=operation)
    if rng.random() < 1 / 3:
        return changed(attn, gating_pos="none", gating_op="dense")
    flipped = {"dense": "diagonal", "diagonal": "dense"}[attn.gating_op]
    return changed(attn, gating_op=flipped)


def tune_attn_sparsity(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    if attn.kind == "LINEAR":
        return None
    kinds = ["none", "sliding", "block", "local_global", "dilated", "local_block"]
    kind, span = other(rng, kinds, attn.sparsity), genome.data.seq_len
    window, stride = max(1, span // rng.choice([4, 8])), max(3, span // rng.choice([4, 8, 16]))
    fields: dict[str, dict[str, int]] = {
        "sliding": {"window": window},
        "block": {"block_size": window},
        "local_global": {"window": window, "global_stride": stride},
        "dilated": {"dilation": rng.choice([2, 3, 4])},
        "local_block": {"window": window, "block_size": max(1, stride // 4), "block_stride": stride},
    }
    return changed(attn, **{**NO_SPARSITY, "sparsity": kind, **fields.get(kind, {})})


def toggle_selector(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    if attn.kind == "LINEAR":
        return None
    if attn.selector != "none":
        return changed(attn, selector="none", selector_rope="full", **NO_SELECTOR)
    return changed(
        attn,
        selector="dsa",
        selector_topk=max(1, genome.data.seq_len // rng.choice([4, 8])),
        selector_heads=rng.choice([each for each in (1, 2, 4) if each <= attn.heads]),
        selector_dim=attn.head_dim,
        selector_rope="full" if attn.rope == "none" else rng.choice(["none", "full"]),
    )


def toggle_alibi(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    return None if attn.kind == "LINEAR" else changed(attn, alibi=not attn.alibi)


def toggle_qk_norm(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    if attn.kind == "LINEAR":
        return None
    if attn.qk_norm != "none":
        return changed(attn, qk_norm="none", qk_norm_max=None)
    kind = rng.choice(["rms", "clamp"])
    return changed(attn, qk_norm=kind, qk_norm_max=rng.choice([0.5, 1.0, 2.0]) if kind == "clamp" else None)


def tune_rope(attn: Attention, genome: Genome, rng: random.Random) -> Attention | None:
    if attn.kind == "LINEAR":
        return None
    kind = other(rng, ["none", "standard", "linear", "ntk", "yarn"], attn.rope)
    if kind == "none":
        return changed(attn, rope="none", rope_factor=1.0, selector_rope="full")
    theta = min(200000.0, max(1000.0, attn.rope_theta * rng.choice([0.5, 1.0, 2.0])))
    factor = 1.0 if kind == "standard" else rng.choice([1.0, 1.25, 2.0])
    return changed(attn, rope=kind, rope_theta=theta, rope_factor=factor)


def toggle_kv_policy(genome: Genome, rng: random.Random) -> Edit | None:
    """To another kind of cache; from any other back to a full one in a third of the cases."""
    policy, span, dim = genome.model.kv_policy, genome.data.seq_len, genome.model.emb.dim
    plain = KvPolicy()
    choices = [
        KvPolicy(cache="window", window=max(1, span // rng.choice([2, 4]))),
        KvPolicy(quant="int8"),
        KvPolicy(cache="latent", latent_dim=max(1, dim // rng.choice([2, 4]))),
    ]
    back = policy != plain and rng.random() < 1 / 3
    for chosen in [plain] if back else rng.sample(choices, len(choices)):
        edit = (
            in_place(genome, kv_policy=chosen) if chosen.cache != policy.cache or chosen.quant != policy.quant else None
        )
        if edit is not None:
            return edit
    return None


def tune_kv_policy(genome: Genome, rng: random.Random) -> Edit | None:
    """Another size of the window or latent, or another rounding."""
    policy = genome.model.kv_policy
    if policy == KvPolicy():
        return None
    values: dict[str, object] = {"quant": other(rng, ["none", "int8"], policy.quant)}
    scale = rng.choice([0.5, 0.75, 1.5, 2.0])
    if policy.window is not None and rng.random() < 0.7:
        values = {"window": max(1, int(policy.window * scale))}
    if policy.latent_dim is not None and rng.random() < 0.7:
        values = {"latent_dim": max(1, int(policy.latent_dim * scale))}
    return in_place(genome, kv_policy=changed(policy, **values))


ATTENTION: dict[str, tuple[str, Propose]] = {
    "make_gqa": ("queries share fewer, or more, keys and values", at_a_gene("attn", make_gqa)),
    "tune_kv": ("another number of key heads", at_a_gene("attn", tune_kv)),
    "tune_attn_shape": ("other heads over the same width, or more heads", at_a_gene("attn", tune_attn_shape)),
    "toggle_linear_attention": ("a running sum instead of keys, or back", at_a_gene("attn", toggle_linear_attention)),
    "toggle_mla_attention": ("keys and values from a latent, or back", at_a_gene("attn", toggle_mla_attention)),
    "tune_attn_gating": ("a gate on output or values: added, changed, removed", at_a_gene("attn", tune_attn_gating)),
    "tune_attn_sparsity": ("another pattern of what is seen", at_a_gene("attn", tune_attn_sparsity)),
    "toggle_selector": ("a choice of the best keys, or all", at_a_gene("attn", toggle_selector)),
    "toggle_alibi": ("a bias by distance, on or off", at_a_gene("attn", toggle_alibi)),
    "toggle_qk_norm": ("norms of queries and keys, on or off", at_a_gene("attn", toggle_qk_norm)),
    "tune_rope": ("another rotation", at_a_gene("attn", tune_rope)),
    "toggle_kv_policy": ("another kind of cache", toggle_kv_policy),
    "tune_kv_policy": ("another size or rounding of the cache", tune_kv_policy),
}
