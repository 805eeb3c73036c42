"""Whether a child computes what its parent does: decided from the two genomes, proven in the tests by their logits."""

import math

from lamarck.arch.genes import (
    AssocMemory,
    Attention,
    Block,
    BranchRouter,
    ChunkMemory,
    Custom,
    DenseFfn,
    MemoryTokens,
    MoeFfn,
    Retro,
    Ssm,
)
from lamarck.arch.genome import Genome, Model, Recurrence
from lamarck.arch.origins import Origins, matched_branches


def preserves(parent: Genome, child: Genome, origins: Origins) -> bool:
    """Whether inheritance along `origins` leaves every logit what it was, but for rounding."""
    old, new = parent.model, child.model
    kept = [origin.block for origin in origins if origin is not None and not origin.silent]
    if kept != list(range(len(old.blocks))):
        return False
    if (old.norm, old.head) != (new.norm, new.head) or not _keeps_stream(old, new):
        return False
    # The policy's latent, window and rounding are part of every attention.
    if old.kv_policy != new.kv_policy:
        return False
    places = {origin.block: place for place, origin in enumerate(origins) if origin is not None and not origin.silent}
    if not all(_keeps_block(old, new, block, place) for block, place in places.items()):
        return False
    return _keeps_spans(old, new, places)


def _keeps_stream(old: Model, new: Model) -> bool:
    """The same width; or a wider one under norms that can make up for it, and nothing else changed."""
    if old.emb.dim == new.emb.dim:
        return old.norm_eps == new.norm_eps
    scaled = math.isclose(new.norm_eps, old.norm_eps * old.emb.dim / new.emb.dim, rel_tol=1e-12)
    return old.norm == "rmsnorm" and scaled and old.blocks == new.blocks and old.recurrences == new.recurrences


def _keeps_spans(old: Model, new: Model, places: dict[int, int]) -> bool:
    """Old spans are as they were, around the same blocks; new ones begin quiet. A new one may hold anything."""
    return all(
        any(_same_span(span, each) and _covered(span, places) == _inside(each, places) for each in new.spans)
        for span in old.spans
    )


def _same_span(old: Recurrence, new: Recurrence) -> bool:
    return (old.steps, old.adapter, old.concat_prelude) == (new.steps, new.adapter, new.concat_prelude)


def _covered(span: Recurrence, places: dict[int, int]) -> set[int]:
    return {places[block] for block in range(span.start, span.end)}


def _inside(span: Recurrence, places: dict[int, int]) -> set[int]:
    return {place for place in places.values() if span.start <= place < span.end}


def _keeps_block(old_model: Model, model: Model, block: int, place: int) -> bool:
    old, new = old_model.blocks[block], model.blocks[place]
    pairs = matched_branches(old, new)
    if len(pairs) != len(old.branches):
        return False  # A branch is gone.
    order = [pairs[name] for name in new.branches if name in pairs]
    if order != list(old.branches):
        return False
    return _keeps_router(old, new) and all(
        _keeps_branch(old.branches[theirs], new.branches[name], old_model, model) for name, theirs in pairs.items()
    )


def _keeps_router(old: Block, new: Block) -> bool:
    """A router may be added, and may change how often it is told apart: weights make up for the temperature."""
    theirs, ours = old.extra("branch_router"), new.extra("branch_router")
    if theirs is None:
        return True
    if not isinstance(ours, BranchRouter):
        return False
    return theirs.model_copy(update={"temperature": ours.temperature}) == ours


def _keeps_branch(old: object, new: object, old_model: Model, model: Model) -> bool:
    match old, new:
        case Attention(), Attention():
            return _keeps_attention(old, new, old_model, model)
        case DenseFfn(), DenseFfn() | MoeFfn():
            return old.activation == new.activation and old.hidden <= new.hidden
        case MoeFfn(), MoeFfn():
            routing = ("n_experts", "k", "router_type", "activation")
            return (
                all(getattr(old, name) == getattr(new, name) for name in routing)
                and old.hidden <= new.hidden
                and old.shared <= new.shared
            )
        case Ssm(), Ssm():
            return old.model_copy(update={"chunk": new.chunk}) == new
        case Retro(), Retro():
            return old.model_copy(update={"gating_weight": new.gating_weight}) == new
        case AssocMemory() | MemoryTokens() | ChunkMemory(), AssocMemory() | MemoryTokens() | ChunkMemory():
            loose = {"gating_weight": new.gating_weight, "heads": new.heads}
            return old.heads <= new.heads and old.model_copy(update=loose) == new
        case Custom(), Custom():
            return old.activation == new.activation and old.hidden <= new.hidden
    return False


def _keeps_attention(old: Attention, new: Attention, old_model: Model, model: Model) -> bool:
    """More heads of the same size; key heads that split; a latent that is multiplied out; a gate that is added."""
    if (old.kind == "LINEAR") != (new.kind == "LINEAR"):
        return False
    loose = ("kind", "heads", "kv_heads", "kv_latent_dim", "gating_pos", "gating_op")
    fixed = [name for name in Attention.model_fields if name not in loose]
    if any(getattr(old, name) != getattr(new, name) for name in fixed) or new.heads < old.heads:
        return False
    if old.alibi and old.heads != new.heads:
        return False  # Its slopes follow from the number of heads.
    if old.gating_pos != "none" and (old.gating_pos, old.gating_op) != (new.gating_pos, new.gating_op):
        return False
    # Each new key head serves queries of one old key head: else it would have to be a mean.
    old_size, size = old.heads // old.kv_heads, new.heads // new.kv_heads
    for place in range(new.kv_heads):
        heads = [head for head in range(place * size, (place + 1) * size) if head < old.heads]
        if len({head // old_size for head in heads}) > 1:
            return False
    old_latent, latent = old_model.latent_dim(old), model.latent_dim(new)
    if model.kv_policy.quant == "int8" and old_latent != latent:
        return False  # Other numbers are rounded.
    return latent is None or (old_latent is not None and latent >= old_latent)
