"""A model's logits where they are asked for alone, by its own forward pass."""

from typing import Any

import torch


def logits_at(causal: torch.nn.Module, inputs: torch.Tensor, places: torch.Tensor, **more: Any) -> torch.Tensor:
    """(places, vocabulary) logits of `causal` at the `places` of `inputs`, both (batch, longest); `places` is boolean.
    `more`: what its forward pass is given beside these.

    The head of a large vocabulary costs more memory than all else, so it sees these places only. What the model does
    before and behind its head (scales, caps, biases) it does itself.
    """

    def chosen(head: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0][places], *given[1:])

    head = causal.get_output_embeddings()
    # A genome's tied head is no module: what stands before it takes single places as well.
    hook = (causal.norm if head is None else head).register_forward_pre_hook(chosen)
    try:
        logits: torch.Tensor = causal(input_ids=inputs, use_cache=False, **more).logits
    finally:
        hook.remove()
    return logits
