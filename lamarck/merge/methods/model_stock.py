"""Model Stock (Jang et al. 2024, arXiv:2403.19522): towards the centre of fine-tuned models, by geometry."""

from itertools import combinations, combinations_with_replacement
from typing import ClassVar

import torch
from torch import Tensor

from lamarck.merge.blocks import as_rows, blocks, gram, row_blocks
from lamarck.merge.methods.base import Inputs, MergeMethod, Parameter, Parameters

SINGULAR = 1e-6  # a denominator of t this near to 0 is rounding: products are made in float32


class ModelStock(MergeMethod):
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
    products = _products(deltas)
    cosines = []
    for i, j in combinations(range(count), 2):
        scale = (products[i, i] * products[j, j]).sqrt()
        cosines.append(torch.where(scale > 0, products[i, j] / scale, 0.0))
    cosine = torch.stack(cosines).mean(dim=0)
    denominator = 1 + (count - 1) * cosine
    return torch.where(denominator.abs() > SINGULAR, count * cosine / denominator, 0.0)


def _products(deltas: list[Tensor]) -> dict[tuple[int, int], Tensor]:
    """(i, j), i <= j -> inner products of the rows of two task vectors, float64 [rows].

    Each is read once; products are made in float32 and added in float64."""
    pairs = list(combinations_with_replacement(range(len(deltas)), 2))
    rows, width = deltas[0].shape
    if rows == 1:
        sums = gram([delta[0] for delta in deltas])
        return {pair: torch.tensor([total], dtype=torch.float64) for pair, total in sums.items()}
    # Made once: a product for each block, with its small sum kept behind it, leaves holes that malloc does not fill.
    totals = torch.empty(len(pairs), rows, dtype=torch.float64)
    product = torch.empty(next(row_blocks(rows, width)).stop, width)
    for part in row_blocks(rows, width):
        wide = [delta[part].to(torch.float32) for delta in deltas]
        for (i, j), total in zip(pairs, totals, strict=True):
            made = torch.mul(wide[i], wide[j], out=product[: len(wide[i])])
            torch.sum(made, dim=1, dtype=torch.float64, out=total[part])
    return dict(zip(pairs, totals, strict=True))
