"""How far apart two genomes are, as the sources measure novelty: parts that differ, place by place. Light.

transformer-evolution-llm, orchestrator `_structural_distance`: differences of kind count 1 or 0.5, of a window or a
stride 0.25; the sum is divided by the mean number of blocks.
"""

from lamarck.arch.genes import Attention, Block
from lamarck.arch.genome import Genome

WHOLE, HALF, QUARTER = 1.0, 0.5, 0.25
ATTENTION = {
    "kind": HALF, "kv_heads": HALF, "rope": HALF, "alibi": QUARTER, "sparsity": HALF, "window": QUARTER,
    "global_stride": QUARTER, "block_size": QUARTER, "block_stride": QUARTER,
}  # fmt: skip


def distance(first: Genome, second: Genome) -> float:
    ours, theirs = first.model.blocks, second.model.blocks
    found = float(abs(len(ours) - len(theirs)))
    found += sum(_of_blocks(a, b) for a, b in zip(ours, theirs, strict=False))
    spans = (first.model.spans, second.model.spans)
    found += HALF * abs(len(spans[0]) - len(spans[1]))
    found += HALF * sum(a != b for a, b in zip(*spans, strict=False))
    return found / max(1.0, (len(ours) + len(theirs)) / 2)


def _of_blocks(first: Block, second: Block) -> float:
    kinds = [None if each.ffn is None else each.ffn.type for each in (first, second)]
    found = WHOLE * (kinds[0] != kinds[1])
    found += WHOLE * ((first.ssm is None) != (second.ssm is None))
    found += HALF * (len(first.extras) != len(second.extras))
    if first.attn is not None and second.attn is not None:
        found += _of_attention(first.attn, second.attn)
    return found


def _of_attention(first: Attention, second: Attention) -> float:
    return sum(weight for name, weight in ATTENTION.items() if getattr(first, name) != getattr(second, name))
