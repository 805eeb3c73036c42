"""Model Stock (Jang et al. 2024, arXiv:2403.19522): towards the centre of fine-tuned models, by geometry."""

from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from lamarck.merge.blocks import as_rows, blocks, dot, row_blocks
from lamarck.merge.methods.base import Inputs, Method, Parameter, Parameters


class ModelStock(Method):
    """base + t * mean(d_i), t = N c / (1 + (N - 1) c), c the mean cosine of the pairs of the N task vectors d_i.

    One t a tensor, with `filter_wise` one a row. Where t is not defined (a denominator of 0), it is 0; a task vector of
    length zero is at right angles to all.
    """

    name = "model_stock"
    parameters: ClassVar[Parameters] = {"filter_wise": Parameter(per_model=False, default=False)}
    base = "required"
    fewest = 2

    def merge(self, inputs: Inputs) -> Tensor:
        assert inputs.load_base is not None
        base = inputs.load_base()
        deltas = [load().sub_(base) for load in inputs.load]
        rows = [as_rows(delta) if inputs.shared["filter_wise"] else delta.view(1, -1) for delta in deltas]
        ratio = _ratio(rows).to(torch.float32)[:, None]
        output = base.view(rows[0].shape)
        width = output.shape[1]
        for columns in blocks(width) if len(output) == 1 else [slice(None)]:
            for part in row_blocks(len(output), width):
                mean = rows[0][part, columns].to(torch.float32)
                for delta in rows[1:]:
                    mean = mean.add_(delta[part, columns])
                output[part, columns] = mean.mul_(ratio[part] / len(rows)).add_(output[part, columns])
        return base


def _ratio(deltas: list[Tensor]) -> Tensor:
    """t of each row, float64 [rows]."""
    count = len(deltas)
    lengths = [_products(delta, delta).sqrt() for delta in deltas]
    cosines = []
    for i, j in combinations(range(count), 2):
        scale = lengths[i] * lengths[j]
        cosines.append(torch.where(scale > 0, _products(deltas[i], deltas[j]) / scale, 0.0))
    cosine = torch.stack(cosines).mean(dim=0)
    denominator = 1 + (count - 1) * cosine
    return torch.where(denominator.abs() > 1e-12, count * cosine / denominator, 0.0)


def _products(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of the rows, float64 [rows]."""
    if len(first) == 1:
        return torch.tensor([dot(first[0], second[0])], dtype=torch.float64)
    parts = [
        (first[part].to(torch.float64) * second[part]).sum(dim=1) for part in row_blocks(len(first), first.shape[1])
    ]
    return torch.cat(parts)
