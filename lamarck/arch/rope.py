"""Rotary positions (Su et al. 2021, arXiv:2104.09864) in the half-split layout of Llama, and their extensions."""

import math
from dataclasses import dataclass

import torch

# Rotations per context below and above which YaRN stretches a frequency wholly, or not at all (arXiv:2309.00071, 3.2).
SLOW, FAST = 1, 32


@dataclass(frozen=True)
class Rotation:
    kind: str  # standard | linear | ntk | yarn
    head_dim: int
    theta: float
    factor: float
    context: int


def frequencies(rotation: Rotation) -> tuple[list[float], float]:
    """(radians per token of each of the head_dim / 2 pairs, factor on cos and sin)."""
    pairs = range(0, rotation.head_dim, 2)
    theta = rotation.theta
    if rotation.kind == "ntk" and rotation.head_dim > 2:
        theta *= rotation.factor ** (rotation.head_dim / (rotation.head_dim - 2))
    plain = [theta ** (-pair / rotation.head_dim) for pair in pairs]
    if rotation.kind == "linear":
        return [each / rotation.factor for each in plain], 1.0
    if rotation.kind != "yarn" or rotation.factor == 1:
        return plain, 1.0
    low, high = (_pair_that_turns(turns, rotation) for turns in (FAST, SLOW))
    low, high = max(math.floor(low), 0), min(math.ceil(high), rotation.head_dim - 1)
    span = max(high - low, 1e-3)
    stretched = [min(max((place - low) / span, 0.0), 1.0) for place in range(len(plain))]
    mixed = [each * (share / rotation.factor + 1 - share) for each, share in zip(plain, stretched, strict=True)]
    return mixed, 0.1 * math.log(rotation.factor) + 1


def _pair_that_turns(turns: float, rotation: Rotation) -> float:
    """The pair, as a real number, that turns so often within the context."""
    return rotation.head_dim * math.log(rotation.context / (turns * 2 * math.pi)) / (2 * math.log(rotation.theta))


def turn_table(rotation: Rotation, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(cos, sin) at positions (B, S): each (B, 1, S, head_dim), float32."""
    radians, factor = frequencies(rotation)
    speed = torch.tensor(radians, device=positions.device, dtype=torch.float32)
    angles = (positions.to(torch.float32)[..., None] * speed).repeat(1, 1, 2).unsqueeze(1)
    return angles.cos() * factor, angles.sin() * factor


def rotate(x: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """x: (B, H, S, head_dim), each pair (i, i + head_dim / 2) turned by the table's angle."""
    cos, sin = (each.to(x.dtype) for each in table)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
