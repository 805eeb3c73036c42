"""One small genome for every kind of block there is; weights large enough that a mistake shows in the logits."""

from typing import Any

from lamarck.arch.genome import Genome, check_genome

DIM, VOCAB = 16, 32
HEADS = {"heads": 4, "head_dim": 4}
FFN = {"type": "dense", "hidden": 24}
PLAIN = {"kind": "GQA", "kv_heads": 2, "rope": "standard", **HEADS}
SELECTOR = {"selector": "dsa", "selector_topk": 3, "selector_heads": 2, "selector_dim": 2}
SMALL = {"heads": 2, "head_dim": 4}

ATTENTION: dict[str, dict[str, Any]] = {
    "MHA": {"kind": "MHA", **HEADS},
    "GQA": PLAIN,
    "MQA": {"kind": "MQA", **HEADS},
    "MLA": {"kind": "MLA", "kv_latent_dim": 6, "rope": "standard", **HEADS},
    "LINEAR": {"kind": "LINEAR", "kv_heads": 2, **HEADS},
    "sliding": {**PLAIN, "sparsity": "sliding", "window": 5},
    "block": {**PLAIN, "sparsity": "block", "block_size": 4},
    "local_global": {**PLAIN, "sparsity": "local_global", "window": 3, "global_stride": 5},
    "dilated": {**PLAIN, "sparsity": "dilated", "dilation": 3},
    "local_block": {**PLAIN, "sparsity": "local_block", "window": 3, "block_size": 2, "block_stride": 6},
    "selector": {**PLAIN, **SELECTOR},
    "selector before the rotation": {**PLAIN, **SELECTOR, "selector_rope": "none"},
    "gated output": {**PLAIN, "gating_pos": "output"},
    "gated values": {**PLAIN, "gating_pos": "value", "gating_op": "diagonal"},
    "rms": {**PLAIN, "qk_norm": "rms"},
    "clamp": {**PLAIN, "qk_norm": "clamp", "qk_norm_max": 0.5},
    "linear rope": {**PLAIN, "rope": "linear", "rope_factor": 2.0},
    "ntk": {**PLAIN, "rope": "ntk", "rope_factor": 2.0},
    "yarn": {**PLAIN, "rope": "yarn", "rope_factor": 4.0, "rope_context": 16},
    "alibi": {"kind": "MHA", "heads": 3, "head_dim": 4, "alibi": True},
}
MOE = {"type": "moe", "hidden": 8, "n_experts": 4}
OTHER: dict[str, dict[str, Any]] = {
    **{
        name: {"ffn": {"type": "dense", "hidden": 24, "activation": name}}
        for name in ("swiglu", "gelu", "silu", "relu")
    },
    "moe": {"ffn": {**MOE, "shared": 1}},
    "sigmoid moe": {"ffn": {**MOE, "k": 3, "router_type": "sigmoid", "z_loss": 0.001, "activation": "relu"}},
    "mamba2": {"ssm": {"d_inner": 16, "d_state": 4, "heads": 4, "chunk": 8}},
    "ssm": {"ssm": {"kind": "ssm", "d_inner": 16, "d_state": 4, "heads": 2, "chunk": 8}},
    "retro mean": {"extras": [{"type": "retro", "memory_tokens": 3, "stride": 2, "aggregator": "mean"}]},
    "retro attention": {"extras": [{"type": "retro", "memory_tokens": 3, "stride": 2, "aggregator": "attention"}]},
    "retro gate": {"extras": [{"type": "retro", "memory_tokens": 3, "stride": 2, "aggregator": "gate"}]},
    "assoc_memory": {"extras": [{"type": "assoc_memory", **SMALL}]},
    "memory_tokens": {"extras": [{"type": "memory_tokens", "tokens": 3, **SMALL}]},
    "chunk_memory": {"extras": [{"type": "chunk_memory", "chunk_size": 4, "stride": 3, **SMALL}]},
    "custom": {"extras": [{"type": "custom", "name": "network", "hidden": 8}]},
    "branch_router by token": {"attn": PLAIN, "ffn": FFN, "extras": [{"type": "branch_router", "hidden": 8}]},
    "branch_router by sequence": {
        "attn": PLAIN,
        "ffn": FFN,
        "extras": [{"type": "branch_router", "router_type": "sequence", "targets": ["attn", "ffn"]}],
    },
    "layer_scale": {"attn": PLAIN, "ffn": FFN, "extras": [{"type": "layer_scale", "init": 0.5}]},
    "gated": {"attn": PLAIN, "ffn": FFN, "extras": [{"type": "gated", "init_weight": 0.5}]},
}
BLOCKS: dict[str, dict[str, Any]] = {name: {"attn": attn, "ffn": FFN} for name, attn in ATTENTION.items()} | OTHER

MODELS: dict[str, dict[str, Any]] = {
    "recurrence": {"recurrences": [{"start": 1, "end": 2, "steps": 3}]},
    "gated recurrence": {"recurrences": [{"start": 0, "end": 2, "adapter": "gated", "concat_prelude": False}]},
    "window policy": {"kv_policy": {"cache": "window", "window": 6}},
    "latent policy": {"kv_policy": {"cache": "latent", "latent_dim": 6}},
    "int8 policy": {"kv_policy": {"quant": "int8"}},
    "int8 latent policy": {"kv_policy": {"cache": "latent", "latent_dim": 6, "quant": "int8"}},
    "layernorm": {"norm": "layernorm"},
    "untied": {"head": {"tie_embeddings": False}},
}


def genome_of(*blocks: dict[str, Any], train: dict[str, Any] | None = None, **model: Any) -> Genome:
    """A genome of these blocks, with loud weights."""
    whole = {"emb": {"dim": DIM, "vocab": VOCAB, "init_std": 0.3}, "blocks": list(blocks), **model}
    return check_genome({"model": whole, "train": train or {}, "data": {"seq_len": 32}}, "a test's genome")


def plain(blocks: int = 3, **model: Any) -> Genome:
    return genome_of(*[{"attn": PLAIN, "ffn": FFN}] * blocks, **model)


# Every kind stands between two plain blocks, so that what it leaks or loses is carried on.
EVERY: dict[str, Genome] = {
    name: genome_of({"attn": PLAIN, "ffn": FFN}, block, {"attn": PLAIN, "ffn": FFN}) for name, block in BLOCKS.items()
} | {name: plain(**model) for name, model in MODELS.items()}
