"""Weighted means (model soups: Wortsman et al. 2022, arXiv:2203.05482), and a tensor as it is."""

from typing import ClassVar

import torch
from torch import Tensor

from lamarck.merge.blocks import blocks
from lamarck.merge.methods.base import Inputs, MergeMethod, Parameter, Parameters


class Linear(MergeMethod):
    """sum(w_i x_i), divided by sum(w_i) with `normalize`; added in float32."""

    name = "linear"
    parameters: ClassVar[Parameters] = {
        "weight": Parameter(per_model=True),
        "normalize": Parameter(per_model=False, default=True),
    }

    def merge(self, inputs: Inputs) -> Tensor:
        weights = [own["weight"] for own in inputs.own]
        divisor = sum(weights) if inputs.shared["normalize"] else 1.0
        tensors = [load() for load in inputs.load]
        merged = tensors[0]
        flats = [tensor.view(-1) for tensor in tensors]
        for part in blocks(merged.numel()):
            total = flats[0][part].to(torch.float32) * weights[0]
            for flat, weight in zip(flats[1:], weights[1:], strict=True):
                total.add_(flat[part].to(torch.float32), alpha=weight)
            flats[0][part] = total.div_(divisor)
        return merged


class Passthrough(MergeMethod):
    """The only source, times `scale`: for models stacked of layers."""

    name = "passthrough"
    parameters: ClassVar[Parameters] = {"scale": Parameter(per_model=True, default=1.0)}
    most = 1

    def merge(self, inputs: Inputs) -> Tensor:
        tensor = inputs.load[0]()
        scale = inputs.own[0]["scale"]
        return tensor if scale == 1 else tensor.mul_(scale)
