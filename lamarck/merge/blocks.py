"""Arithmetic in blocks: temporaries stay small, and sums come out the same whatever the number of threads."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor

BLOCK = 2**17  # elements: 512 kB in float32, which stay in a core's cache
ROW = 4096  # elements that are summed by one thread


def blocks(length: int, size: int = BLOCK) -> Iterator[slice]:
    """Consecutive slices that cover `length` elements."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Consecutive slices of rows, about BLOCK elements each."""
    return blocks(rows, max(1, BLOCK // max(1, columns)))


def as_rows(tensor: Tensor) -> Tensor:
    """[rows, columns]: a matrix as it is, a vector as one row, more dimensions folded into columns. A view."""
    return tensor.view(1, -1) if tensor.dim() < 2 else tensor.view(tensor.shape[0], -1)


def exact_sum(values: Tensor) -> float:
    """The sum of a one-dimensional tensor in float64: partial sums by one thread each, added without rounding."""
    whole = len(values) // ROW * ROW
    partial = values[:whole].view(-1, ROW).sum(dim=1, dtype=torch.float64).tolist()
    return math.fsum([*partial, values[whole:].sum(dtype=torch.float64).item()])


def gram(vectors: Sequence[Tensor]) -> dict[tuple[int, int], float]:
    """(i, j), i <= j -> the inner product of flat tensors of equal length. Each is read once.

    Products, and sums of ROW of them by one thread each, are float32; their sum is made without rounding.
    """
    pairs = list(combinations_with_replacement(range(len(vectors)), 2))
    sums: dict[tuple[int, int], list[Tensor]] = {pair: [] for pair in pairs}
    whole = len(vectors[0]) // ROW * ROW
    # Small blocks: several stay in a core's cache together, as wide copies and products. What is left has one row.
    for part in (*blocks(whole, 8 * ROW), slice(whole, None)):
        wide = [vector[part].to(torch.float32) for vector in vectors]
        rows = [each.view(-1, ROW) if part.stop else each.view(1, -1) for each in wide]
        for i, j in pairs:
            sums[i, j].append((rows[i] * rows[j]).sum(dim=1))
    return {pair: math.fsum(torch.cat(values).tolist()) for pair, values in sums.items()}


def absolute_sum(flat: Tensor) -> float:
    """The L1 norm of a flat tensor, in float64."""
    return math.fsum(exact_sum(flat[part].to(torch.float64).abs_()) for part in blocks(len(flat)))


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite; no temporary is made."""
    # A finite sum has finite terms, and is the quicker one to make; that of large terms need not be finite.
    if tensor.numel() == 0 or math.isfinite(tensor.sum().item()):
        return True
    smallest, largest = torch.aminmax(tensor)
    return math.isfinite(smallest.item()) and math.isfinite(largest.item())
