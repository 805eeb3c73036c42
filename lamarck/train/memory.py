"""How many layers are computed again in the backward pass, instead of being kept: as few as a GPU's memory asks for.

Gradients are the same (Chen et al. 2016, arXiv:1604.06174), dropout included; a layer that is kept takes two thirds of
the operations.
"""

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from lamarck.budget.memory import ROOM, recomputed_layers
from lamarck.budget.shape import shape_of_config
from lamarck.budget.work import rows_at_once
from lamarck.config import Recipe
from lamarck.models.adapters import unpack_once
from lamarck.models.attention import LIKE_LLAMA
from lamarck.train.causal import causal_of
from lamarck.train.team import Team


def layers_of(model: torch.nn.Module) -> list[GradientCheckpointingLayer]:
    """The decoder's layers, first to last; none for a model that transformers could not compute again."""
    decoder = causal_of(model).get_decoder()
    return [layer for layer in decoder.modules() if isinstance(layer, GradientCheckpointingLayer)]


def fit_memory(model: torch.nn.Module, recipe: Recipe, team: Team) -> int:
    """Have the first layers of `model` computed again, as many as the estimate says that this GPU asks for; their
    number. On a CPU none is, and on a GPU each of a model whose memory cannot be estimated."""
    if team.device.type != "cuda":
        return 0
    config = causal_of(model).config
    count = len(layers_of(model))
    if config.model_type in LIKE_LLAMA:
        rows = rows_at_once(recipe.batch_size // team.size)
        shape = shape_of_config(config.to_dict())
        count = recomputed_layers(shape, recipe, rows, team.size, ROOM * room_on(team.device))
    compute_again(model, count, team)
    return count


def compute_again(model: torch.nn.Module, count: int, team: Team) -> None:
    """Have the first `count` layers computed again, and NF4 weights unpacked once for that and for the gradients."""
    recompute(model, count)
    if team.size == 1:  # where GPUs share a layer, its weights are gathered and let go by another hand
        for layer in layers_of(model)[:count]:
            unpack_once(layer)


def room_on(device: torch.device) -> int:
    """Bytes of a GPU that no other process has, and that this one may take."""
    free, whole = torch.cuda.mem_get_info(device)
    allowed = int(torch.cuda.get_per_process_memory_fraction(device.index) * whole)
    return min(free + torch.cuda.memory_reserved(device), allowed)


def recompute(model: torch.nn.Module, count: int) -> None:
    """Have the first `count` layers computed again in the backward pass.

    The first, because the last are freed first: while one of the others is whole at work, they are gone.
    """
    for layer in layers_of(model)[:count]:
        # transformers has two names for the method that sets these, one in older versions and one in newer.
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        layer.gradient_checkpointing = True


def computes_again(model: torch.nn.Module) -> bool:
    """Whether layers are computed in the backward pass as well: outside of what the forward pass stood in."""
    return any(layer.gradient_checkpointing for layer in layers_of(model))
