"""Spherical interpolation between two tensors (Shoemake 1985): of the whole tensor, its rows or its columns."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from lamarck.merge.blocks import as_rows, blocks, gram, row_blocks
from lamarck.merge.methods.base import Inputs, MergeMethod, Parameter, Parameters

PARALLEL = 0.9995  # |cosine| above which slerp interpolates linearly
TINY = 1e-8


class Slerp(MergeMethod):
    """From the base (t = 0) to the other model (t = 1) along the arc between their directions.

    The raw vectors are combined, so the norm of the result lies between theirs only roughly.
    """

    name = "slerp"
    parameters: ClassVar[Parameters] = {"t": Parameter(per_model=False)}
    base = "required"
    most = 1

    def merge(self, inputs: Inputs) -> Tensor:
        assert inputs.load_base is not None
        first, second = inputs.load_base(), inputs.load[0]()
        return _combined(first, second, *_factors(first, second, float(inputs.shared["t"])))


def _factors(first: Tensor, second: Tensor, t: float) -> tuple[float, float]:
    a, b = first.view(-1), second.view(-1)
    products = gram([a, b])
    cosine = products[0, 1] / (_unless_tiny(math.sqrt(products[0, 0])) * _unless_tiny(math.sqrt(products[1, 1])))
    if abs(cosine) > PARALLEL:
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def _unless_tiny(norm: float) -> float:
    return norm if norm > TINY else 1.0


def _combined(first: Tensor, second: Tensor, of_first: float, of_second: float) -> Tensor:
    """of_first * first + of_second * second in float32, written over `first`."""
    a, b = first.view(-1), second.view(-1)
    for part in blocks(len(a)):
        a[part] = a[part].to(torch.float32).mul_(of_first).add_(b[part].to(torch.float32), alpha=of_second)
    return first


class NuSlerp(MergeMethod):
    """Spherical interpolation with weights: t = w2 / (w1 + w2), 1/2 where they cancel. With a base, of task vectors.

    nuslerp_flatten: the whole tensor is one vector; otherwise each row is, or with nuslerp_row_wise each column.
    """

    name = "nuslerp"
    parameters: ClassVar[Parameters] = {
        "weight": Parameter(per_model=True),
        "nuslerp_flatten": Parameter(per_model=False, default=True),
        "nuslerp_row_wise": Parameter(per_model=False, default=False),
    }
    base = "optional"
    fewest = most = 2

    def merge(self, inputs: Inputs) -> Tensor:
        base = inputs.load_base() if inputs.load_base else None
        first, second = (load() for load in inputs.load)
        if base is not None:
            first.sub_(base)
            second.sub_(base)
        w1, w2 = (own["weight"] for own in inputs.own)
        t = w2 / (w1 + w2) if abs(w1 + w2) > 1e-6 else 0.5
        if inputs.shared["nuslerp_flatten"] or first.dim() < 2:
            self._interpolate(first.view(1, -1), second.view(1, -1), t)
        elif inputs.shared["nuslerp_row_wise"]:
            self._interpolate(as_rows(first).T, as_rows(second).T, t)
        else:
            self._interpolate(as_rows(first), as_rows(second), t)
        return first if base is None else first.add_(base)

    @staticmethod
    def _interpolate(first: Tensor, second: Tensor, t: float) -> None:
        """Each row of `first`, [rows, columns], becomes the point at t on the arc to that of `second`."""
        if len(first) == 1:
            products = gram([first[0], second[0]])
            cosine = torch.tensor([products[0, 1]], dtype=torch.float64)
            norms = torch.tensor([products[0, 0] * products[1, 1]], dtype=torch.float64).sqrt_()
        else:
            cosine, norms = _row_products(first, second)
        angle = (cosine / norms.clamp_(min=1e-300)).clamp_(-1, 1).acos_()
        sine = angle.sin()
        straight = sine.abs() < TINY
        of_first = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / sine).to(torch.float32)[:, None]
        of_second = torch.where(straight, t, (t * angle).sin() / sine).to(torch.float32)[:, None]
        for columns in blocks(first.shape[1]) if len(first) == 1 else [slice(None)]:
            for rows in row_blocks(*first.shape):
                mixed = first[rows, columns].to(torch.float32) * of_first[rows]
                first[rows, columns] = mixed.add_(second[rows, columns].to(torch.float32) * of_second[rows])


def _row_products(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """(inner products, products of the norms) of the rows, float64 [rows]."""
    inner, norms = [], []
    for rows in row_blocks(*first.shape):
        a, b = first[rows].to(torch.float64), second[rows].to(torch.float64)
        inner.append((a * b).sum(dim=1))
        norms.append(a.pow_(2).sum(dim=1).mul_(b.pow_(2).sum(dim=1)).sqrt_())
    return torch.cat(inner), torch.cat(norms)
