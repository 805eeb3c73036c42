"""Operators on memories, routers, scales and gates."""

import random
from collections.abc import Callable
from typing import Any

from lamarck.arch.edit import Propose, at_a_block, other, with_extra
from lamarck.arch.genes import (
    TARGETS,
    AssocMemory,
    Block,
    BranchRouter,
    ChunkMemory,
    Custom,
    Gated,
    LayerScale,
    MemoryTokens,
    Retro,
)
from lamarck.arch.genome import Genome, changed

Make = Callable[[Genome, random.Random], Any]
Tune = Callable[[Any, Genome, random.Random], Any]


def _heads(genome: Genome, rng: random.Random) -> dict[str, int]:
    """Heads of a memory, together no wider than the stream."""
    dim = genome.model.emb.dim
    head_dim = rng.choice([each for each in (8, 16, 32, 64) if each <= dim] or [dim])
    return {"heads": rng.choice([each for each in (1, 2, 4) if each * head_dim <= dim]), "head_dim": head_dim}


def _retro(genome: Genome, rng: random.Random) -> Retro:
    return Retro(
        type="retro",
        memory_tokens=rng.choice([16, 64, 256]),
        stride=max(1, genome.data.seq_len // rng.choice([8, 16, 32])),
        aggregator=rng.choice(["mean", "attention", "gate"]),
        gating_weight=rng.choice([0.1, 0.3, 0.5]),
    )


def _assoc(genome: Genome, rng: random.Random) -> AssocMemory:
    return AssocMemory(type="assoc_memory", **_heads(genome, rng), gating_weight=rng.choice([0.1, 0.2, 0.4]))


def _tokens(genome: Genome, rng: random.Random) -> MemoryTokens:
    tokens = rng.choice([8, 16, 32])
    return MemoryTokens(
        type="memory_tokens", tokens=tokens, **_heads(genome, rng), gating_weight=rng.choice([0.1, 0.3])
    )


def _chunks(genome: Genome, rng: random.Random) -> ChunkMemory:
    size = max(1, genome.data.seq_len // rng.choice([8, 16]))
    stride = max(1, rng.choice([size, size // 2]))
    heads = _heads(genome, rng)
    return ChunkMemory(
        type="chunk_memory", chunk_size=size, stride=stride, **heads, gating_weight=rng.choice([0.1, 0.3])
    )


def _custom(genome: Genome, rng: random.Random) -> Custom:
    hidden = max(1, genome.model.emb.dim // rng.choice([1, 2]))
    return Custom(
        type="custom", name=f"network-{rng.randrange(10_000)}", hidden=hidden,
        activation=rng.choice(["silu", "gelu", "relu"]),
    )  # fmt: skip


def _there(block: Block) -> list[str]:
    """The targets that the block has."""
    return [each for each in TARGETS if any(name.startswith(each) for name in block.branches)]


def _targets(block: Block, rng: random.Random) -> list[str]:
    """Some of them."""
    there = _there(block)
    return rng.sample(there, rng.randint(1, len(there)))


def inserted(kind: str, make: Make) -> Propose:
    """One more extra of that kind in a block that has none yet."""

    def change(block: Block, genome: Genome, rng: random.Random) -> Block | None:
        return None if block.extra(kind) else with_extra(block, None, make(genome, rng))

    return at_a_block(change)


def tuned(kind: str, tune: Tune) -> Propose:
    """One extra of that kind, somewhere, changed."""

    def change(block: Block, genome: Genome, rng: random.Random) -> Block | None:
        found = [each for each in block.extras if each.type == kind]
        if not found:
            return None
        chosen = rng.choice(found)
        return with_extra(block, chosen, tune(chosen, genome, rng))

    return at_a_block(change)


def _tune_memory(memory: Any, genome: Genome, rng: random.Random) -> Any:
    """Its weight, made up for by its matrices; or its heads; or what else its kind has."""
    kinds: dict[str, list[int]] = {
        "memory_tokens": [8, 16, 32, 64],
        "chunk_memory": [max(1, genome.data.seq_len // each) for each in (4, 8, 16)],
    }
    part = rng.choice(["gating_weight", "heads", *([] if memory.type == "assoc_memory" else ["own"])])
    if part == "gating_weight":
        return changed(memory, gating_weight=round(memory.gating_weight * rng.choice([0.5, 0.8, 1.25, 2.0]), 6))
    if part == "heads":
        return changed(memory, heads=max(1, memory.heads + rng.choice([-1, 1, 2])))
    field = "tokens" if memory.type == "memory_tokens" else rng.choice(["chunk_size", "stride"])
    return changed(memory, **{field: other(rng, kinds[memory.type], getattr(memory, field))})


def _tune_retro(retro: Retro, genome: Genome, rng: random.Random) -> Retro:
    part = rng.choice(["memory_tokens", "stride", "aggregator", "gating_weight"])
    values: dict[str, list[Any]] = {
        "memory_tokens": [16, 32, 64, 256],
        "stride": [max(1, genome.data.seq_len // each) for each in (8, 16, 32)],
        "aggregator": ["mean", "attention", "gate"],
        "gating_weight": [0.1, 0.2, 0.4, 0.8],
    }
    return changed(retro, **{part: other(rng, values[part], getattr(retro, part))})


def toggle_branch_router(block: Block, genome: Genome, rng: random.Random) -> Block | None:
    router = block.extra("branch_router")
    if router is not None:
        return with_extra(block, router, None)
    there = _there(block)
    if len(there) < 2:
        return None
    new = BranchRouter(
        type="branch_router",
        targets=rng.sample(there, rng.randint(2, len(there))),
        router_type=rng.choice(["token", "sequence"]),
        hidden=rng.choice([None, 16, 64]),
        temperature=rng.choice([0.7, 1.0, 1.5]),
    )
    return with_extra(block, None, new)


def _tune_branch_router(router: BranchRouter, genome: Genome, rng: random.Random) -> BranchRouter:
    part = rng.choice(["temperature", "router_type", "hidden"])
    values: dict[str, list[Any]] = {
        "temperature": [0.5, 0.8, 1.2, 2.0],
        "router_type": ["token", "sequence"],
        "hidden": [None, 16, 64],
    }
    return changed(router, **{part: other(rng, values[part], getattr(router, part))})


def insert_layer_scale(block: Block, genome: Genome, rng: random.Random) -> Block | None:
    if block.extra("layer_scale"):
        return None
    new = LayerScale(type="layer_scale", targets=_targets(block, rng), init=rng.choice([0.01, 0.1, 1.0]))
    return with_extra(block, None, new)


def tune_layer_scale(block: Block, genome: Genome, rng: random.Random) -> Block | None:
    """Learned or fixed, or one branch more or less that it scales."""
    scale = block.extra("layer_scale")
    if scale is None:
        return None
    if rng.random() < 0.4:
        return with_extra(block, scale, changed(scale, learnable=not scale.learnable))
    target = rng.choice(_there(block))
    targets = [each for each in TARGETS if (each in scale.targets) != (each == target)]
    return with_extra(block, scale, changed(scale, targets=targets)) if targets else None


def toggle_gated_mix(block: Block, genome: Genome, rng: random.Random) -> Block:
    gate = block.extra("gated")
    if gate is not None:
        return with_extra(block, gate, None)
    return with_extra(
        block, None, Gated(type="gated", targets=_targets(block, rng), init_weight=rng.choice([0.1, 0.3]))
    )


def add_extra_combo(block: Block, genome: Genome, rng: random.Random) -> Block | None:
    """A retro memory and a gated mix at once, where neither is yet."""
    if block.extra("retro") or block.extra("gated"):
        return None
    return toggle_gated_mix(with_extra(block, None, _retro(genome, rng)), genome, rng)


EXTRAS: dict[str, tuple[str, Propose]] = {
    "add_extra_combo": ("a retro memory and a gated mix", at_a_block(add_extra_combo)),
    "insert_retro_module": ("a memory of kept states", inserted("retro", _retro)),
    "tune_retro": ("another size, stride, reading or weight of it", tuned("retro", _tune_retro)),
    "insert_custom_module": ("a small network beside the others", inserted("custom", _custom)),
    "insert_assoc_memory": ("fast weights", inserted("assoc_memory", _assoc)),
    "tune_assoc_memory": ("other heads or weight of them", tuned("assoc_memory", _tune_memory)),
    "insert_memory_tokens": ("learned tokens to read", inserted("memory_tokens", _tokens)),
    "tune_memory_tokens": ("more or fewer of them, other heads or weight", tuned("memory_tokens", _tune_memory)),
    "insert_chunk_memory": ("means of chunks to read", inserted("chunk_memory", _chunks)),
    "tune_chunk_memory": ("other chunks, heads or weight", tuned("chunk_memory", _tune_memory)),
    "toggle_branch_router": ("a router over the branches, added or removed", at_a_block(toggle_branch_router)),
    "tune_branch_router": ("its temperature, input or width", tuned("branch_router", _tune_branch_router)),
    "insert_layer_scale": ("a factor for every channel", at_a_block(insert_layer_scale)),
    "tune_layer_scale": ("which branches it scales, and whether it learns", at_a_block(tune_layer_scale)),
    "toggle_gated_mix": ("a factor for whole branches, added or removed", at_a_block(toggle_gated_mix)),
}
