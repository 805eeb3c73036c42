"""Liger's kernels (envs/liger.txt), on a GPU where they are installed: norms, gated MLPs and rotary positions of models
like Llama in one pass over memory each, equal to transformers' own to rounding."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from lamarck.config import Recipe
from lamarck.models.attention import LIKE_LLAMA


def liger_version(config: Any, recipe: Recipe, device: torch.device) -> str | None:
    """The version of Liger that trains a model of this transformers configuration; None where it does not."""
    known = config.model_type in LIKE_LLAMA and config.hidden_act == "silu"
    if device.type != "cuda" or recipe.dtype != "bfloat16" or not known:
        return None
    try:
        return version("liger-kernel")
    except PackageNotFoundError:
        return None


def with_liger(base: Any, recipe: Recipe, device: torch.device) -> Any:
    """`base` with those kernels, where `liger_version` says so. The loss stays ours: it is of answers alone."""
    if liger_version(base.config, recipe, device):
        use_liger(base)
    return base


def use_liger(base: Any) -> None:
    from liger_kernel.transformers import _apply_liger_kernel_to_instance

    own = {"cross_entropy": False, "fused_linear_cross_entropy": False}
    _apply_liger_kernel_to_instance(base, rope=True, swiglu=True, rms_norm=True, **own)
