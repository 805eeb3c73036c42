"""Arithmetic in blocks: temporaries stay small, and sums come out the same whatever the number of threads."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

BLOCK = 2**17  # elements: 512 kB in float32, which stay in a core's cache
ROW = 4096  # elements that are summed by one thread
TOGETHER = 8  # rows that are multiplied at once: those of several tensors stay in a core's cache together


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
    count, whole = len(vectors), len(vectors[0]) // ROW * ROW
    rows = [vector[:whole].view(-1, ROW) for vector in vectors]
    wide, products = (torch.empty(count, min(TOGETHER, whole // ROW), ROW) for _ in range(2))
    rest = torch.stack([vector[whole:].to(torch.float32) for vector in vectors])
    # Pairs that stand `apart` are one operation: of small ones the calls take longer than the numbers.
    sums = [[(rest[: count - apart] * rest[apart:]).sum(dim=1, keepdim=True)] for apart in range(count)]
    for part in blocks(whole // ROW, TOGETHER):
        used = part.stop - part.start
        for vector, of_all in zip(wide, rows, strict=True):
            vector[:used] = of_all[part]
        for apart in range(count):
            made = products[: count - apart, :used]
            torch.mul(wide[: count - apart, :used], wide[apart:, :used], out=made)
            sums[apart].append(made.sum(dim=2))
    totals = [torch.cat(parts, dim=1).tolist() for parts in sums]
    return {(i, i + apart): math.fsum(each) for apart, of_pairs in enumerate(totals) for i, each in enumerate(of_pairs)}


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
