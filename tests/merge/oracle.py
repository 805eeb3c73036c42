"""mergekit itself, asked for the same merge."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.merge.models import tensors_of


def ask_mergekit(case: dict[str, Any], models: Path, output: Path) -> dict[str, Tensor]:
    """The tensors that mergekit makes of `case`, with names of models as directories below `models`."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    options = MergeOptions(device="cpu", random_seed=0, copy_tokenizer=True, quiet=True, write_model_card=False)
    run_merge(MergeConfiguration.model_validate(located(case, models)), str(output), options)
    return tensors_of(output)


def located(value: Any, models: Path, key: str = "") -> Any:
    """The same with every model's name replaced by its directory."""
    if isinstance(value, dict):
        return {name: located(part, models, name) for name, part in value.items()}
    if isinstance(value, list):
        return [located(part, models) for part in value]
    names_model = key in ("model", "base_model") or (key == "tokenizer_source" and value not in ("base", "union"))
    return str(models / value) if names_model else value


@contextmanager
def forced_draws() -> Iterator[None]:
    """While it lasts, mergekit keeps what `forced_uniforms` says, instead of drawing."""
    drawn = torch.bernoulli

    def forced(probability: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        kept = forced_uniforms(probability.numel()).view(probability.shape) < probability
        return kept.to(probability.dtype)

    torch.bernoulli = forced
    try:
        yield
    finally:
        torch.bernoulli = drawn


def forced_uniforms(count: int) -> Tensor:
    """Numbers in [0, 1) that look scattered and are the same for every tensor of `count` elements."""
    return (torch.arange(count, dtype=torch.float64) * 0.6180339887498949 % 1).to(torch.float32)
