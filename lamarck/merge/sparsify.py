"""Which elements of a task vector stay: by magnitude, at random, or both. Each function zeroes the others in place.

Sources: TIES (Yadav et al. 2023, arXiv:2306.01708), DARE (Yu et al. 2024, arXiv:2311.03099), DELLA (Deep et al. 2024,
arXiv:2406.11617), Model Breadcrumbs (Davari and Belilovsky 2023, arXiv:2312.06795).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lamarck.merge.blocks import absolute_sum, as_rows, blocks, row_blocks
from lamarck.merge.draws import Draw

# As bits, the magnitudes of floats are ordered like integers.
INTEGERS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}
DIGIT = 16  # bits that are counted at once


def keep_largest(delta: Tensor, density: float) -> None:
    """TIES: keep the int(density * n) elements of largest magnitude, at least one unless the density is 0."""
    count = delta.numel()
    kept = max(1, int(density * count)) if density > 0 else 0
    keep_ranks(delta, count - kept, count)


def keep_middle(delta: Tensor, density: float, gamma: float) -> None:
    """Breadcrumbs: drop the int(gamma * n) largest, then keep the int(density * n) below them."""
    count = delta.numel()
    kept = int(density * count)
    low = max(0, count - kept - int(gamma * count))
    keep_ranks(delta, low, low + kept)


def keep_at_random(delta: Tensor, density: float, draw: Draw) -> None:
    """DARE: keep each element with probability `density`."""
    flat = delta.view(-1)
    for part in blocks(len(flat)):
        flat[part].mul_(draw(part.stop - part.start) < density)


def keep_by_rank_at_random(delta: Tensor, density: float, epsilon: float, draw: Draw) -> None:
    """DELLA: in each row, the probability to stay rises linearly with the rank of the magnitude, from
    density - epsilon for the smallest to density + epsilon for the largest. A row of one element has `density`."""
    rows = as_rows(delta)
    count, width = rows.shape
    steps = torch.arange(width, dtype=torch.float32)
    ladder = density - epsilon + 2 * epsilon * steps / (width - 1) if width > 1 else torch.tensor([density])
    for part in row_blocks(count, width):
        values = rows[part]
        order = values.abs().float().argsort(dim=1, stable=True)
        kept_with = torch.empty(values.shape, dtype=torch.float32)
        kept_with.scatter_(1, order, ladder.to(torch.float32).expand_as(kept_with))
        values.mul_(draw(values.numel()).view(values.shape) < kept_with)


def keep_ranks(delta: Tensor, low: int, high: int) -> None:
    """Keep the elements whose rank by magnitude, ascending from 0, lies in low..high-1. Of equal ones, the earlier
    element has the lower rank."""
    flat = delta.view(-1)
    if low <= 0 and high >= len(flat):
        return
    if high <= low:
        flat.zero_()
        return
    if high < len(flat):
        last, below = _at_rank(flat, high - 1)
        _zero(flat, last, high - below, above=True)
        # The zeroes made now have the lowest ranks.
        low += len(flat) - high
    if low > 0:
        first, below = _at_rank(flat, low)
        _zero(flat, first, low - below, above=False)


def _zero(flat: Tensor, edge: int, count: int, above: bool) -> None:
    """Zero what has a magnitude above `edge`, and those equal to it after the first `count`; or not `above`: what has
    one below it, and the first `count` equal to it."""
    seen = 0
    for part in blocks(len(flat)):
        magnitude = _magnitude(flat[part])
        equal = magnitude == edge
        keep = magnitude < edge if above else magnitude > edge
        number = int(equal.sum())
        if seen + number <= count:
            keep = keep | equal if above else keep
        elif seen >= count:
            keep = keep if above else keep | equal
        else:
            among_first = equal.cumsum(0) + seen <= count
            keep = keep | (equal & (among_first if above else ~among_first))
        seen += number
        flat[part].mul_(keep)


def rescaled(delta: Tensor, sparsify: Callable[[], None], rescale: bool) -> None:
    """Run `sparsify`, which acts on `delta`; with `rescale`, multiply what stays so that the L1 norm is as before.

    One factor a tensor. The papers divide by the probability to stay instead: DARE by `density`, DELLA each element by
    its own.
    """
    before = absolute_sum(delta.view(-1)) if rescale else 0.0
    sparsify()
    after = absolute_sum(delta.view(-1)) if rescale else 0.0
    if after > 0:
        delta.mul_(before / after)


def _magnitude(flat: Tensor) -> Tensor:
    """Integers in the order of the magnitudes."""
    kind = INTEGERS[flat.dtype]
    return flat.view(kind) & torch.iinfo(kind).max


def _at_rank(flat: Tensor, rank: int) -> tuple[int, int]:
    """The magnitude, as an integer, of the element of this rank, and how many elements have a lower one.

    Selection digit by digit (radix selection): no copy of the tensor, no dependence on threads.
    """
    bits = torch.iinfo(INTEGERS[flat.dtype]).bits
    prefix, below = 0, 0
    for shift in range(bits - DIGIT, -1, -DIGIT):
        counts = np.zeros(2**DIGIT, dtype=np.int64)
        for part in blocks(len(flat)):
            magnitude = _magnitude(flat[part]).numpy().astype(np.int64)
            if shift < bits - DIGIT:
                magnitude = magnitude[(magnitude >> (shift + DIGIT)) == prefix]
            counts += np.bincount((magnitude >> shift) & (2**DIGIT - 1), minlength=2**DIGIT)
        reached = np.cumsum(counts)
        digit = int(np.searchsorted(reached, rank - below, side="right"))
        below += int(reached[digit - 1]) if digit else 0
        prefix = (prefix << DIGIT) | digit
    return prefix, below
