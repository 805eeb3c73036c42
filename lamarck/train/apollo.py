"""The update rule of APOLLO (Zhu et al. 2024, arXiv:2412.05270, algorithm 1), as functions of tensors alone.

A gradient G has a short side of m and a long side of n numbers; a square one counts its rows as the short side. Lines
along the long side are its channels: columns of a wide matrix, rows of a tall one. Adam's moments are kept of the
compact gradient R = P G, of (r, n), and tell by how much each channel of G is to be scaled.
"""

from typing import Literal

import torch

from lamarck.seeds import seed_for


def short_side(shape: torch.Size) -> int:
    """The dimension that is projected: 0 of a wide or square matrix, 1 of a tall one."""
    return 0 if shape[0] <= shape[1] else 1


def draw_projection(size: int, rank: int, seed: int, period: int) -> torch.Tensor:
    """P of (rank, size), each number from N(0, 1/rank); the same on every machine and in every process."""
    generator = torch.Generator().manual_seed(seed_for(seed, "projection", str(size), str(rank), str(period)))
    return torch.randn(rank, size, generator=generator) / rank**0.5


def compact(gradient: torch.Tensor, projection: torch.Tensor) -> torch.Tensor:
    """R: (r, n) of a wide gradient (m, n), and (m, r) of a tall one (m, n). Equation 3."""
    return projection @ gradient if short_side(gradient.shape) == 0 else gradient @ projection.T


def adam_direction(
    gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor, step: int, beta1: float, beta2: float, eps: float
) -> torch.Tensor:
    """Adam's direction after its `step`-th gradient, counted from 1; both moments are updated in place."""
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    root = (second / (1 - beta2**step)).sqrt_().add_(eps)
    return first / root.mul_(1 - beta1**step)


def factors(
    direction: torch.Tensor, gradient: torch.Tensor, side: int, scaling: Literal["channel", "tensor"]
) -> torch.Tensor:
    """|direction| / |gradient| of the compact space: by channel, with 1 in dimension `side`, or of all (equation 5).

    A channel without a gradient has factor 0: its update is 0 whatever it is multiplied by.
    """
    dimension = side if scaling == "channel" else None
    above = torch.linalg.vector_norm(direction, dim=dimension, keepdim=True)
    below = torch.linalg.vector_norm(gradient, dim=dimension, keepdim=True)
    return torch.where(below > 0, above / below, 0.0)


def update_norm(gradient: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Frobenius norm of `gradient * scale`, where `scale` is one factor a channel or one of all; nothing is copied."""
    return torch.linalg.vector_norm(
        torch.linalg.vector_norm(gradient, dim=short_side(gradient.shape), keepdim=True) * scale
    )


def limited(norm: torch.Tensor, previous: torch.Tensor, limit: float) -> torch.Tensor:
    """What an update of `norm` is multiplied by, after one of norm `previous`, to grow by `limit` at most.

    The norm-growth limiter of Fira (arXiv:2410.01623), as APOLLO uses it. An update after none, or after one of zeros,
    is not limited.
    """
    allowed = limit * previous
    return torch.where((previous > 0) & (norm > allowed), allowed / norm, 1.0)
