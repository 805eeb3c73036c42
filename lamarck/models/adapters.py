"""Adapters in 16 bits with fewer passes over memory than PEFT makes: beside a product, wide tensors are what costs."""

from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D


def fuse_adapters(model: PeftModel) -> None:
    """Let every adapted linear layer of `model` add its adapters inside one product, in the type of its own output.

    PEFT writes the adapter's output, scales it, adds it, and of a quantised layer copies the output before. Here the
    product adds to the output where it lies. The adapters' weights stay as they are (float32) and are rounded for each
    product, so that an optimizer step below 16 bits' precision is not lost. In float32 sums are rounded otherwise than
    PEFT's.
    """
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), (torch.nn.Linear, Conv1D)):
            layer.forward = partial(_forward, layer)


def _forward(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
    """(..., in) -> (..., out): the frozen layer, and every active adapter's scaling x up x down x dropout(inputs)."""
    # As rows of one matrix: a product a text, and with it a gradient a text, takes far longer on a CPU.
    rows = inputs.flatten(0, -2)
    output: torch.Tensor = layer.base_layer(rows)
    rows = rows.to(output.dtype)
    for name in layer.active_adapters:
        if name not in layer.lora_A:
            continue
        low = linear(layer.lora_dropout[name](rows), layer.lora_A[name].weight.to(output.dtype))
        output = output.addmm_(low, layer.lora_B[name].weight.to(output.dtype).T, alpha=layer.scaling[name])
    return output.unflatten(0, inputs.shape[:-1])
