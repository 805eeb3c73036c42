# Stands for the frozen tests with sha256 226207ef519fefc4acc8b75c71d2f7ded525899334bbb4bbf4e8c89b74b7f645
import cmath

import torch
from examiner import ask, close, refuses

CALL = "apply_rotary(q, k, places, base=base, scale=scale)"
GRADIENTS = """
q.requires_grad_(), k.requires_grad_()
rotated = apply_rotary(q, k, places)
(rotated[0].square().sum() / 2 + rotated[1].square().sum() / 2).backward()
q.grad, k.grad
"""


def formula(x, positions, base, scale):
    batch, heads, length, dim = x.shape
    y, half = torch.empty_like(x, dtype=torch.float64), dim // 2
    for b in range(batch):
        for t in range(length):
            place = int(positions[t] if positions.ndim == 1 else positions[b, t])
            for i in range(half):
                turn = cmath.exp(1j * (place / scale) * base ** (-2 * i / dim))
                for h in range(heads):
                    z = complex(x[b, h, t, i], x[b, h, t, i + half]) * turn
                    y[b, h, t, i], y[b, h, t, i + half] = z.real, z.imag
    return y


def heads(dtype, length=5, dim=8):
    torch.manual_seed(1)
    return torch.randn(2, 4, length, dim).to(dtype), torch.randn(2, 2, length, dim).to(dtype)


def test_shared_positions():
    q, k = heads(torch.float32)
    places = torch.tensor([0, 1, 2, 7, 40])
    kept = "before = q.clone(), k.clone()\n"
    rotated, *same = ask(
        f"{kept}out = apply_rotary(q, k, places)\nout, torch.equal(before[0], q), torch.equal(before[1], k)",
        q=q,
        k=k,
        places=places,
    )
    assert same == [True, True]
    for own, x in zip(rotated, (q, k), strict=True):
        close(own, formula(x, places, 10000.0, 1.0).float(), rtol=1e-4, atol=1e-5)


def test_packed_positions_base_and_scale():
    q, k = heads(torch.float64)
    places = torch.tensor([[0, 1, 2, 0, 1], [199_996, 199_997, 199_998, 199_999, 200_000]])
    for base, scale in ((10000.0, 1.0), (500000.0, 8.0), (10000.0, 2.5)):
        rotated = ask(CALL, q=q, k=k, places=places, base=base, scale=scale)
        for own, x in zip(rotated, (q, k), strict=True):
            close(own, formula(x, places, base, scale), rtol=0, atol=1e-8)


def test_half_precision_far_out():
    places = torch.tensor([1003, 4001, 4002, 8191, 16381])
    for dtype, allowed in ((torch.bfloat16, 0.03), (torch.float16, 0.01)):
        q, k = heads(dtype)
        rotated = ask("apply_rotary(q, k, places)", q=q, k=k, places=places)
        for own, x in zip(rotated, (q, k), strict=True):
            exact = formula(x, places, 10000.0, 1.0)
            assert own.dtype == dtype and own.shape == exact.shape
            assert (own.double() - exact).abs().max() < allowed
            assert (own != exact.to(dtype)).float().mean() < 0.05


def test_types_are_kept_apart():
    q, k = heads(torch.bfloat16)
    rotated_q, rotated_k = ask("apply_rotary(q, k, places)", q=q, k=k.float(), places=torch.arange(5))
    assert rotated_q.dtype == torch.bfloat16 and rotated_k.dtype == torch.float32


def test_scores_depend_on_distance_only():
    q, k = heads(torch.float64)
    scores = []
    for shift in (0, 3, 1000):
        a, b = ask("apply_rotary(q, k, places)", q=q[:, :2], k=k, places=torch.arange(5) + shift)
        scores.append(a @ b.transpose(-1, -2))
    close(scores[0], scores[1])
    close(scores[0], scores[2])


def test_gradients_turn_back():
    q, k = heads(torch.float64)
    slopes = ask(GRADIENTS, q=q, k=k, places=torch.tensor([3, 1, 4, 1, 5]))
    for own, exact in zip(slopes, (q, k), strict=True):
        close(own, exact)


def test_single_new_token():
    q, k = heads(torch.float32, length=1)
    places = torch.tensor([[9], [2]])
    rotated, _ = ask("apply_rotary(q, k, places)", q=q, k=k, places=places)
    close(rotated, formula(q, places, 10000.0, 1.0).float(), rtol=1e-4, atol=1e-5)


def test_refusals():
    q, k = heads(torch.float32)
    for one, other, places in (
        (q[..., :7], k[..., :7], torch.arange(5)),
        (q, k, torch.arange(4)),
        (q, k, torch.zeros(2, 1, dtype=torch.long)),
    ):
        assert refuses("apply_rotary(q, k, places)", q=one, k=other, places=places)
