"""Random genomes: every kind of block the language has, at a size of one's choosing. The baseline of random search."""

import random
from dataclasses import dataclass
from typing import Any

from lamarck.arch.genome import Genome, check_genome


@dataclass(frozen=True)
class Size:
    """Bounds within which genomes are drawn."""

    dim: int = 32
    vocab: int = 64
    most_blocks: int = 4
    head_dims: tuple[int, ...] = (4, 8)
    seq_len: int = 32


def random_genome(rng: random.Random, size: Size) -> Genome:
    """A valid genome; the same generator state gives the same genome."""
    blocks = [_block(rng, size) for _ in range(rng.randint(1, size.most_blocks))]
    model: dict[str, Any] = {
        "name": "random",
        "emb": {"dim": size.dim, "vocab": size.vocab},
        "norm": rng.choice(["rmsnorm", "rmsnorm", "layernorm"]),
        "head": {"tie_embeddings": rng.random() < 0.5},
        "blocks": blocks,
        "kv_policy": _policy(rng, size, blocks),
    }
    if len(blocks) > 1 and rng.random() < 0.4:
        start = rng.randrange(len(blocks) - 1)
        span = {"start": start, "end": rng.randint(start + 1, len(blocks)), "steps": rng.choice([2, 3])}
        model["recurrences"] = [
            span | {"adapter": rng.choice(["linear", "gated"]), "concat_prelude": rng.random() < 0.5}
        ]
    return check_genome({"model": model, "data": {"seq_len": size.seq_len}}, "a random genome")


def _policy(rng: random.Random, size: Size, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    gates_values = any((block.get("attn") or {}).get("gating_pos") == "value" for block in blocks)
    kind = rng.choice(["full", "full", "window"] + ([] if gates_values else ["latent"]))
    own = {"window": {"window": size.seq_len // 2}, "latent": {"latent_dim": size.dim // 2}}.get(kind, {})
    return {"cache": kind, "quant": rng.choice(["none", "none", "int8"]), **own}


def _block(rng: random.Random, size: Size) -> dict[str, Any]:
    block: dict[str, Any] = {}
    if rng.random() < 0.8:
        block["attn"] = _attention(rng, size)
    if rng.random() < 0.3:
        heads = rng.choice([1, 2, 4])
        block["ssm"] = {
            "kind": rng.choice(["mamba2", "ssm"]),
            "d_inner": size.dim,
            "d_state": rng.choice([2, 4]),
            "d_conv": rng.choice([1, 4]),
            "heads": heads,
            "chunk": rng.choice([8, 64]),
        }
    if rng.random() < 0.8 or not block:
        block["ffn"] = _ffn(rng, size)
    block["extras"] = _extras(rng, size)
    return block


def _attention(rng: random.Random, size: Size) -> dict[str, Any]:
    kind, heads = rng.choice(["MHA", "GQA", "MQA", "MLA", "LINEAR"]), rng.choice([2, 4])
    attn: dict[str, Any] = {"kind": kind, "heads": heads, "head_dim": rng.choice(size.head_dims)}
    attn["gating_pos"] = rng.choice(["none", "none", "output"] + ([] if kind == "MLA" else ["value"]))
    attn["gating_op"] = rng.choice(["dense", "diagonal"])
    if kind in ("GQA", "LINEAR"):
        attn["kv_heads"] = rng.choice([1, 2])
    if kind == "LINEAR":
        return attn
    if kind == "MLA":
        attn["kv_latent_dim"] = rng.choice([4, 8])
    rope = rng.choice(["none", "standard", "linear", "ntk", "yarn"])
    attn |= {"rope": rope, "alibi": rng.random() < 0.3, "qk_norm": rng.choice(["none", "rms", "clamp"])}
    if rope not in ("none", "standard"):
        attn["rope_factor"] = rng.choice([1.0, 2.0])
    if attn["qk_norm"] == "clamp":
        attn["qk_norm_max"] = rng.choice([0.5, 2.0])
    if rng.random() < 0.3:
        attn |= {"selector": "dsa", "selector_topk": 4, "selector_heads": rng.choice([1, 2]), "selector_dim": 4}
        attn["selector_rope"] = rng.choice(["none", "full"]) if rope != "none" else "full"
    return attn | _sparsity(rng)


def _sparsity(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["none", "none", "sliding", "block", "local_global", "dilated", "local_block"])
    fields = {
        "sliding": {"window": rng.randint(2, 8)},
        "block": {"block_size": rng.randint(2, 8)},
        "local_global": {"window": rng.randint(1, 4), "global_stride": rng.randint(2, 8)},
        "dilated": {"dilation": rng.randint(2, 4)},
        "local_block": {"window": rng.randint(1, 4), "block_size": 2, "block_stride": rng.randint(3, 8)},
    }
    return {"sparsity": kind, **fields.get(kind, {})}


def _ffn(rng: random.Random, size: Size) -> dict[str, Any]:
    hidden, activation = rng.choice([size.dim, 2 * size.dim]), rng.choice(["swiglu", "gelu", "silu", "relu"])
    if rng.random() < 0.6:
        return {"type": "dense", "hidden": hidden, "activation": activation}
    experts = rng.choice([2, 4])
    return {
        "type": "moe",
        "hidden": hidden,
        "activation": activation,
        "n_experts": experts,
        "k": rng.randint(1, experts),
        "shared": rng.choice([0, 1]),
        "router_type": rng.choice(["softmax", "sigmoid"]),
        "z_loss": rng.choice([0.0, 1e-3]),
    }


def _extras(rng: random.Random, size: Size) -> list[dict[str, Any]]:
    heads = {"heads": rng.choice([1, 2]), "head_dim": rng.choice(size.head_dims)}
    targets = rng.sample(["attn", "ssm", "ffn", "memory"], rng.randint(2, 4))
    every: list[dict[str, Any]] = [
        {
            "type": "retro",
            "memory_tokens": rng.randint(1, 4),
            "stride": rng.randint(1, 4),
            "aggregator": rng.choice(["mean", "attention", "gate"]),
        },
        {"type": "assoc_memory", **heads},
        {"type": "memory_tokens", "tokens": rng.randint(1, 4), **heads},
        {"type": "chunk_memory", "chunk_size": rng.randint(1, 6), "stride": rng.randint(1, 6), **heads},
        {"type": "custom", "name": "network", "hidden": size.dim, "activation": rng.choice(["relu", "swiglu"])},
        {
            "type": "branch_router",
            "targets": targets,
            "router_type": rng.choice(["token", "sequence"]),
            "hidden": rng.choice([None, 8]),
        },
        {"type": "layer_scale", "targets": targets, "learnable": rng.random() < 0.8},
        {"type": "gated", "targets": targets, "learnable": rng.random() < 0.8},
    ]
    return rng.sample(every, rng.choice([0, 0, 1, 2, 3]))
