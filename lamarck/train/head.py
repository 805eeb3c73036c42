"""The loss of a large vocabulary, slice by slice: the logits of a long batch would be more memory than all else."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from lamarck.budget.memory import LOGITS_AT_ONCE
from lamarck.models.attention import LIKE_LLAMA


def is_sliced(causal: Any, places: int) -> bool:
    """Whether the loss of `places` tokens is computed in slices: they are many, and nothing of the model's own stands
    between its head, which is frozen, and its logits."""
    if causal.config.model_type not in LIKE_LLAMA:
        return False
    head = causal.get_output_embeddings()
    return not head.weight.requires_grad and places * head.out_features > LOGITS_AT_ONCE


def sliced_loss(
    causal: Any, inputs: torch.Tensor, places: torch.Tensor, targets: torch.Tensor, **more: Any
) -> torch.Tensor:
    """Mean cross-entropy, in nats, of `targets` (places,) at the `places` of `inputs`, both (batch, longest). `more`:
    what the decoder is given beside these."""
    hidden = causal.get_decoder()(input_ids=inputs, use_cache=False, **more).last_hidden_state[places]
    loss: torch.Tensor = _SlicedLoss.apply(hidden, causal.get_output_embeddings(), targets)
    return loss


class _SlicedLoss(torch.autograd.Function):
    """The gradient of each slice is taken while its logits are there, so that no slice outlives the next."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: torch.nn.Module, targets: torch.Tensor) -> torch.Tensor:
        rows = max(1, LOGITS_AT_ONCE // int(head.out_features))
        slopes = torch.empty_like(hidden)
        total = torch.zeros((), device=hidden.device)
        for first in range(0, len(hidden), rows):
            part = slice(first, first + rows)
            seen = hidden[part].detach().requires_grad_()
            with torch.enable_grad():
                loss = cross_entropy(head(seen).float(), targets[part], reduction="sum") / len(targets)
            (slopes[part],) = torch.autograd.grad(loss, seen)
            total += loss.detach()
        ctx.save_for_backward(slopes)
        return total

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * slope, None, None
