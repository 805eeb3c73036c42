"""A genome as a drawing in letters, and what changed from one genome to the next, line by line. Light."""

import difflib
import json
from typing import Any

import yaml

from lamarck.arch.genes import Attention, Block, BranchRouter, DenseFfn, Gated, LayerScale, MoeFfn, Ssm
from lamarck.arch.genome import Genome

WIDTH = 62
SHOWN_DIFF = 40  # lines


def drawing(genome: Genome) -> str:
    """The stream from top to bottom; equal blocks in a row are drawn once."""
    model = genome.model
    lines = [f"{model.emb.vocab} tokens -> stream of {model.emb.dim}"]
    place = 0
    while place < len(model.blocks):
        last = place
        passes = model.passes(place)
        while (
            last + 1 < len(model.blocks)
            and model.blocks[last + 1] == model.blocks[place]
            and model.passes(last + 1) == passes
        ):
            last += 1
        title = f"block {place}" if last == place else f"blocks {place} to {last}"
        title += f", {passes} passes" if passes > 1 else ""
        lines += _box(title, _branches(model.blocks[place]))
        place = last + 1
    policy = model.kv_policy
    kept = "" if (policy.cache, policy.quant) == ("full", "none") else f"; cache: {policy.cache}, {policy.quant}"
    tied = "the embedding" if model.head.tie_embeddings else "its own"
    return "\n".join([*lines, f"{model.norm} -> head ({tied}){kept}"])


def _box(title: str, rows: list[str]) -> list[str]:
    bar = "─" * WIDTH
    inside = [f"│ {row[: WIDTH - 2]:<{WIDTH - 2}} │" for row in rows]
    return ["   │", f"┌{f' {title} ':─<{WIDTH}}┐", *inside, f"└{bar}┘"]


def _branches(block: Block) -> list[str]:
    rows = [f"+ {name:<8} {_said(gene)}" for name, gene in block.branches.items()]
    return rows + [f"x {each.type}" + _targets(each) for each in block.extras if _weighs(each)]


def _weighs(extra: object) -> bool:
    return isinstance(extra, BranchRouter | LayerScale | Gated)


def _targets(extra: Any) -> str:
    return f" of {', '.join(extra.targets)}"


def _said(gene: object) -> str:
    match gene:
        case Attention():
            parts = [f"{gene.kind} {gene.heads}x{gene.head_dim}, {gene.kv_heads} kv"]
            parts += [f"rope {gene.rope}"] if gene.rope != "none" else []
            parts += [gene.sparsity + (f" {gene.window}" if gene.window else "")] if gene.sparsity != "none" else []
            parts += [name for name, on in (("alibi", gene.alibi), ("selector", gene.selector != "none")) if on]
            parts += [f"gated {gene.gating_pos}"] if gene.gating_pos != "none" else []
            parts += [f"qk {gene.qk_norm}"] if gene.qk_norm != "none" else []
            return ", ".join(parts)
        case DenseFfn():
            return f"dense {gene.hidden}, {gene.activation}"
        case MoeFfn():
            return f"moe {gene.k} of {gene.n_experts} x {gene.hidden}, {gene.activation}, {gene.shared} shared"
        case Ssm():
            return f"{gene.kind} {gene.d_inner}, state {gene.d_state}"
    return str(getattr(gene, "type", gene))


def difference(before: Genome, after: Genome) -> list[str]:
    """Changed lines of the two as YAML, with - and +."""
    texts = [
        yaml.safe_dump(json.loads(each.model.model_dump_json(exclude_defaults=True)), sort_keys=True).splitlines()
        + yaml.safe_dump({"train": each.train.model_dump(mode="json")}, sort_keys=True).splitlines()
        for each in (before, after)
    ]
    changed = [
        line
        for line in difflib.unified_diff(texts[0], texts[1], lineterm="", n=1)
        if not line.startswith(("---", "+++", "@@"))
    ]
    more = len(changed) - SHOWN_DIFF
    return changed[:SHOWN_DIFF] + ([f"… {more} more lines"] if more > 0 else [])
