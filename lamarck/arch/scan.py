"""Sums over all earlier tokens in linear time: what linear attention, fast weights and state-space models share."""

import torch
import torch.nn.functional as F


def scan(
    q: torch.Tensor,  # (B, H, T, N)
    k: torch.Tensor,  # (B, H, T, N)
    v: torch.Tensor,  # (B, H, T, P)
    state: torch.Tensor | None,  # (B, H, N, P), from the tokens before
    decay: torch.Tensor | None = None,  # (B, H, T), natural logarithm of what is kept at each token, at most 0
    chunk: int = 64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(y (B, H, T, P), state after the last token), where S_t = exp(decay_t) S_{t-1} + k_t v_t^T and y_t = q_t^T S_t.

    Within a chunk the sum is a masked product, between chunks the state carries it (Dao & Gu 2024, arXiv:2405.21060,
    section 6). The chunk changes only the order of the additions. Sums and state are float32 at least.
    """
    given = v.dtype
    wide = torch.promote_types(given, torch.float32)
    with torch.autocast(v.device.type, enabled=False):
        q, k, v = q.to(wide), k.to(wide), v.to(wide)
        if state is None:
            state = v.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])
        outputs = []
        for first in range(0, q.shape[2], chunk):
            here = slice(first, first + chunk)
            kept = None if decay is None else decay[..., here].to(wide).cumsum(-1)
            y, state = _chunk(q[..., here, :], k[..., here, :], v[..., here, :], state, kept)
            outputs.append(y)
    return torch.cat(outputs, dim=2).to(given), state


def _chunk(
    q: torch.Tensor,  # (B, H, C, N)
    k: torch.Tensor,  # (B, H, C, N)
    v: torch.Tensor,  # (B, H, C, P)
    state: torch.Tensor,  # (B, H, N, P)
    kept: torch.Tensor | None,  # (B, H, C), logarithm of what is left of the incoming state after each token
) -> tuple[torch.Tensor, torch.Tensor]:
    size = q.shape[2]
    scores = q @ k.transpose(-1, -2)  # (B, H, C, C)
    future = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
    if kept is None:
        return scores.masked_fill(future, 0) @ v + q @ state, state + k.transpose(-1, -2) @ v
    # Masked before the exponential: towards the future it would overflow.
    between = (kept[..., :, None] - kept[..., None, :]).masked_fill(future, float("-inf")).exp()
    y = (scores * between) @ v + (q * kept.exp()[..., None]) @ state
    last = kept[..., -1:]
    left = (k * (last - kept).exp()[..., None]).transpose(-1, -2) @ v
    return y, state * last.exp()[..., None] + left


def features(x: torch.Tensor) -> torch.Tensor:
    """elu(x) + 1 (Katharopoulos et al. 2020, arXiv:2006.16236, equation 7): positive, so that sums normalise."""
    return F.elu(x) + 1


def normalised_scan(
    q: torch.Tensor,  # (B, H, T, N), of features
    k: torch.Tensor,  # (B, H, T, N), of features; zero at padding
    v: torch.Tensor,  # (B, H, T, P)
    state: torch.Tensor | None,  # (B, H, N, P + 1)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear attention: (the mean of the values so far, weighted by q.k (B, H, T, P); the state)."""
    y, state = scan(q, k, torch.cat([v, torch.ones_like(v[..., :1])], dim=-1), state)
    return y[..., :-1] / y[..., -1:].clamp_min(1e-6), state
