"""Methods on task vectors, the differences to a base: made sparse, weighted, perhaps without those that contradict the
majority, added up, and added to the base.

Sources: task arithmetic (Ilharco et al. 2023, arXiv:2212.04089); TIES, DARE, DELLA, Breadcrumbs: see sparsify.py.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from lamarck.merge.blocks import blocks
from lamarck.merge.draws import Draw
from lamarck.merge.methods.base import Inputs, MergeMethod, Parameter, Parameters, Value
from lamarck.merge.sparsify import keep_at_random, keep_by_rank_at_random, keep_largest, keep_middle, rescaled

Own = Mapping[str, float]
Shared = Mapping[str, Value]
WEIGHT = Parameter(per_model=True)
DENSITY = Parameter(per_model=True, default=1.0, within=(0, 1))
LAMBDA = Parameter(per_model=False, default=1.0)
NO, YES = Parameter(per_model=False, default=False), Parameter(per_model=False, default=True)


class TaskArithmetic(MergeMethod):
    """base + lambda * sum(w_i d_i), with `normalize` divided by sum(w_i). d_i is made in the tensors' own dtype.

    `consensus` (TIES): an element of w_i d_i counts only where its sign is that of sum(w_i d_i), and the divisor is the
    sum of the weights that count. A sum of zero elects plus; an element that is zero never counts.
    """

    name = "task_arithmetic"
    parameters: ClassVar[Parameters] = {"weight": WEIGHT, "normalize": NO, "lambda": LAMBDA, "int8_mask": NO}
    base = "required"
    consensus: ClassVar[bool] = False

    def sparsify(self, delta: Tensor, own: Own, shared: Shared, draw: Draw) -> None:
        """Zero the elements of `delta` that do not count, in place."""

    def merge(self, inputs: Inputs) -> Tensor:
        assert inputs.load_base is not None
        base = inputs.load_base()
        deltas = []
        for load, own, draw in zip(inputs.load, inputs.own, inputs.draws, strict=True):
            delta = load().sub_(base)
            self.sparsify(delta, own, inputs.shared, draw)
            deltas.append(delta.view(-1))
        weights = [own["weight"] for own in inputs.own]
        flat = base.view(-1)
        for part in blocks(len(flat)):
            weighted = [delta[part].to(torch.float32).mul_(w) for delta, w in zip(deltas, weights, strict=True)]
            moved = self._sum(weighted, weights, inputs)
            flat[part] = moved.mul_(float(inputs.shared["lambda"])).add_(flat[part])
        return base

    def _sum(self, weighted: list[Tensor], weights: list[float], inputs: Inputs) -> Tensor:
        total = torch.stack(weighted).sum(dim=0)
        if not self.consensus:
            divisor = sum(weights) + inputs.base_weight
            return total / divisor if inputs.shared["normalize"] and abs(divisor) >= 1e-8 else total
        majority = torch.where(total >= 0, 1.0, -1.0)
        moved, divisor = torch.zeros_like(total), torch.full_like(total, inputs.base_weight)
        for element, weight in zip(weighted, weights, strict=True):
            counts = (element.sign() == majority).to(torch.float32)
            moved.addcmul_(element, counts)
            divisor.add_(counts, alpha=weight)
        if inputs.shared["normalize"]:
            moved.div_(divisor.masked_fill_(divisor == 0, 1.0))
        return moved


class Ties(TaskArithmetic):
    name = "ties"
    parameters: ClassVar[Parameters] = {
        **TaskArithmetic.parameters, "density": DENSITY, "normalize": YES, "rescale": NO,
    }  # fmt: skip
    consensus = True

    def sparsify(self, delta: Tensor, own: Own, shared: Shared, draw: Draw) -> None:
        if own["density"] < 1:
            rescaled(delta, lambda: keep_largest(delta, own["density"]), bool(shared["rescale"]))


class DareLinear(TaskArithmetic):
    name = "dare_linear"
    parameters: ClassVar[Parameters] = {**TaskArithmetic.parameters, "density": DENSITY, "rescale": YES}
    random = True

    def sparsify(self, delta: Tensor, own: Own, shared: Shared, draw: Draw) -> None:
        if own["density"] < 1:
            rescaled(delta, lambda: keep_at_random(delta, own["density"], draw), bool(shared["rescale"]))


class DareTies(DareLinear):
    name = "dare_ties"
    consensus = True


class DellaLinear(TaskArithmetic):
    name = "della_linear"
    parameters: ClassVar[Parameters] = {
        **TaskArithmetic.parameters, "density": DENSITY, "rescale": YES,
        "epsilon": Parameter(per_model=True, default=0.15, within=(0, 1)),
    }  # fmt: skip
    random = True

    def sparsify(self, delta: Tensor, own: Own, shared: Shared, draw: Draw) -> None:
        if own["density"] < 1:
            density, epsilon = own["density"], own["epsilon"]
            rescaled(delta, lambda: keep_by_rank_at_random(delta, density, epsilon, draw), bool(shared["rescale"]))


class Della(DellaLinear):
    name = "della"
    parameters: ClassVar[Parameters] = {**DellaLinear.parameters, "normalize": YES}
    consensus = True


class Breadcrumbs(TaskArithmetic):
    name = "breadcrumbs"
    parameters: ClassVar[Parameters] = {
        **TaskArithmetic.parameters, "density": DENSITY, "rescale": NO,
        "gamma": Parameter(per_model=True, default=0.01, within=(0, 1)),
    }  # fmt: skip

    def sparsify(self, delta: Tensor, own: Own, shared: Shared, draw: Draw) -> None:
        if own["density"] < 1:
            density, gamma = own["density"], own["gamma"]
            rescaled(delta, lambda: keep_middle(delta, density, gamma), bool(shared["rescale"]))


class BreadcrumbsTies(Breadcrumbs):
    name = "breadcrumbs_ties"
    consensus = True
