"""A child's weights from its parents', block by block along its origins, and which of them were inherited."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lamarck.arch.block import target_of
from lamarck.arch.carry import Weights, carry_branch, carry_equal, corner
from lamarck.arch.genes import Block, BranchRouter
from lamarck.arch.genome import Genome, Model
from lamarck.arch.model import GenomeForCausalLM, build_model
from lamarck.arch.origins import Origin, Origins, matched_branches
from lamarck.arch.quiet import quiet_value, writes
from lamarck.errors import LamarckError


@dataclass(frozen=True)
class Heir:
    """A model, and which of its weights come from the ancestor that the chain began with."""

    model: GenomeForCausalLM
    given: Weights  # the inherited weights; NaN where none was inherited

    @property
    def share(self) -> float:
        """Of the model's parameters, those that the ancestor gave."""
        total = sum(tensor.numel() for tensor in self.given.values())
        return 1 - sum(int(tensor.isnan().sum()) for tensor in self.given.values()) / total


def ancestor(model: GenomeForCausalLM) -> Heir:
    """The beginning of a chain: all weights are its own."""
    return Heir(model, dict(model.state_dict()))


@torch.no_grad()
def inherit(parents: Sequence[Heir], genome: Genome, origins: Origins, seed: int) -> Heir:
    """The child, in the first parent's dtype. Embedding, head and last norm are the first parent's.

    What no parent has begins quiet (quiet.py), else as `seed` draws it. A wider stream is inherited from one parent
    alone. Errors: LamarckError when the vocabularies differ, or the widths of two parents.
    """
    _require_same_stream(parents, genome)
    child = build_model(genome, seed).to(parents[0].model.embed.weight)
    drawn = child.state_dict()
    models = [parent.model.genome.model for parent in parents]
    blank = {name: torch.full_like(tensor, torch.nan) for name, tensor in drawn.items()}
    given = {name: tensor.clone() for name, tensor in blank.items()}
    for new, sources in (
        (blank, [dict(parent.model.state_dict()) for parent in parents]),
        (given, [parent.given for parent in parents]),
    ):
        if models[0].emb.dim != genome.model.emb.dim:
            _widen(sources[0], new, models[0].emb.dim, genome.model.emb.dim)
            continue
        carry_equal(sources[0], {name: new[name] for name in new if not name.startswith(("blocks.", "adapters."))})
        for place, origin in enumerate(origins):
            if origin is not None:
                _carry_block(models[origin.parent], sources[origin.parent], genome.model, new, place, origin)
        _carry_adapters(models, sources, genome.model, new, origins)
    for name, tensor in blank.items():
        gap, value = tensor.isnan(), quiet_value(name)
        tensor[gap] = drawn[name][gap] if value is None else value
    if models[0].emb.dim != genome.model.emb.dim:
        _silence_new_channels(blank, models[0].emb.dim)
    child.load_state_dict(blank)
    return Heir(child, given)


def _require_same_stream(parents: Sequence[Heir], genome: Genome) -> None:
    embs = [parent.model.genome.model.emb for parent in parents]
    if any(emb.vocab != genome.model.emb.vocab for emb in embs):
        raise LamarckError("a child cannot inherit from a parent with another vocabulary")
    widths = {emb.dim for emb in embs} | ({genome.model.emb.dim} if len(embs) > 1 else set())
    if len(widths) > 1 or embs[0].dim > genome.model.emb.dim:
        raise LamarckError(f"streams of {sorted(widths | {genome.model.emb.dim})} channels cannot be joined")
    first = parents[0].model.genome.model
    if first.emb.dim != genome.model.emb.dim and first.blocks != genome.model.blocks:
        raise LamarckError("a wider stream is a step of its own: change the blocks before it, or after")


def _part(weights: Weights, start: str) -> Weights:
    """The tensors below `start`, under the rest of their names; the same tensors, to be filled in place."""
    return {name.removeprefix(start): tensor for name, tensor in weights.items() if name.startswith(start)}


def _carry_block(old_model: Model, source: Weights, model: Model, new: Weights, place: int, origin: Origin) -> None:
    old_gene, gene = old_model.blocks[origin.block], model.blocks[place]
    old, ours = _part(source, f"blocks.{origin.block}."), _part(new, f"blocks.{place}.")
    for name, theirs in matched_branches(old_gene, gene).items():
        branch = _part(ours, f"branches.{name}.")
        carry_branch(
            _part(old, f"branches.{theirs}."), branch, old_gene.branches[theirs], gene.branches[name], old_model, model
        )
        carry_equal(_part(old, f"norms.{theirs}."), _part(ours, f"norms.{name}."))
        _fold_factors(old, ours, name, branch)
    for kind in ("layer_scale.", "gated."):
        carry_equal(_part(old, kind), _part(ours, kind))
    _carry_router(_part(old, "router."), _part(ours, "router."), old_gene, gene)
    if origin.silent:
        for name, tensor in ours.items():
            if writes(f".{name}"):
                tensor.fill_(torch.nan)


def _fold_factors(old: Weights, new: Weights, branch_name: str, branch: Weights) -> None:
    """A factor that the child no longer has goes into what it multiplied."""
    for kind in ("layer_scale", "gated"):
        name = f"{kind}.{target_of(branch_name)}"
        if name in old and name not in new:
            for part, tensor in branch.items():
                if writes(f".{branch_name}.{part}"):
                    factor = old[name]
                    # Rows of a matrix are the stream's channels; of a stack of experts, those of each.
                    tensor *= factor[:, None] if tensor.dim() > 1 and factor.numel() > 1 else factor


def _carry_router(old: Weights, new: Weights, old_block: Block, block: Block) -> None:
    old_gene, gene = old_block.extra("branch_router"), block.extra("branch_router")
    if not isinstance(old_gene, BranchRouter) or not isinstance(gene, BranchRouter):
        return
    carry_equal(_part(old, "norm."), _part(new, "norm."))
    if (old_gene.hidden is None) != (gene.hidden is None):
        return
    if gene.hidden is not None:
        corner(new["hidden_proj.weight"], old["hidden_proj.weight"])
    ratio = gene.temperature / old_gene.temperature
    for place, target in enumerate(gene.targets):
        if target in old_gene.targets:
            corner(new["logits.weight"][place], old["logits.weight"][old_gene.targets.index(target)] * ratio)


def _carry_adapters(
    models: Sequence[Model], sources: Sequence[Weights], model: Model, new: Weights, origins: Origins
) -> None:
    """The adapter of a span is that of the parent's span which the first of its blocks came from."""
    for place, span in enumerate(model.spans):
        origin = next((each for each in origins[span.start : span.end] if each is not None), None)
        if origin is None:
            continue
        spans = models[origin.parent].spans
        theirs = next((each for each, old in enumerate(spans) if old.start <= origin.block < old.end), None)
        if theirs is not None:
            carry_equal(_part(sources[origin.parent], f"adapters.{theirs}."), _part(new, f"adapters.{place}."))


def _widen(old: Weights, new: Weights, dim: int, wide: int) -> None:
    """The same function on a wider stream, whose new channels stay 0: a norm's mean of squares is then smaller by
    dim / wide, which its gain makes up for, and norm_eps in the genome."""
    for name, tensor in new.items():
        norm = ".norms." in name or name.endswith("router.norm.weight") or name == "norm.weight"
        corner(tensor, old[name] * math.sqrt(dim / wide) if norm else old[name])


def _silence_new_channels(new: Weights, dim: int) -> None:
    """What adds to the stream beside the branches: the embedding, and what goes into another pass."""
    new["embed.weight"][:, dim:] = 0
    for name, tensor in new.items():
        if name.endswith(("state_proj.weight", "prelude_proj.weight")):
            tensor[dim:] = 0
