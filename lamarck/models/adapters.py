"""Adapters and NF4 weights with fewer passes over memory than PEFT and bitsandbytes make.

Beside a product, wide tensors are what costs.
"""

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


def unpack_once(layer: torch.nn.Module) -> None:
    """Let the NF4 weights of a decoder layer that is computed again stay unpacked from then until its gradients are
    there; bitsandbytes unpacks them for those once more.

    For layers under `torch.utils.checkpoint` alone: in any other, all of them would stay from the forward pass on.
    """
    for base in layer.modules():
        # By name: its library takes seconds to import, and PEFT has a class that is called the same.
        if type(base).__module__.startswith("bitsandbytes.") and type(base).__name__ == "Linear4bit":
            base.forward = partial(_unpacked_product, base)


def _unpacked_product(base: Any, inputs: torch.Tensor) -> torch.Tensor:
    """(..., in) -> (..., out)."""
    read = inputs.to(base.compute_dtype or inputs.dtype)
    product: torch.Tensor = _UnpackedProduct.apply(read, base.weight, base.weight.quant_state)
    return (product if base.bias is None else product + base.bias.to(product.dtype)).to(inputs.dtype)


class _UnpackedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, packed: torch.Tensor, state: Any) -> torch.Tensor:
        from bitsandbytes.functional import dequantize_4bit

        weight = dequantize_4bit(packed.data, state).to(inputs.dtype)
        ctx.save_for_backward(weight)
        return linear(inputs, weight)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return slope @ weight, None, None
