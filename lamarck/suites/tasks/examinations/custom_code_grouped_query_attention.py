# Stands for the frozen tests with sha256 a095cd3a0b5dd79f83d439feeb8f9497eeb98eddf624d9a91c3984d64109c672
import math

import torch
from examiner import ask, close, equal, refuses

BUILD = """
torch.manual_seed(1)
layer = GroupedQueryAttention(12, heads, kv_heads, 4).to(getattr(torch, dtype))
{name: parameter for name, parameter in layer.named_parameters()}
"""
PIECES = """
cache, pieces, same = None, [], []
for piece in x.split(cuts, dim=1):
    before = None if cache is None else cache[0].clone()
    y, new = layer(piece, cache=cache)
    same.append(before is None or torch.equal(before, cache[0]))
    cache = new
    pieces.append(y)
torch.cat(pieces, 1), cache[0], cache[1], all(same)
"""
PADDED = """
y, _ = layer(x, padding=padding)
first, cache = layer(x[:, :4], padding=padding[:, :4])
second, _ = layer(x[:, 4:], cache=cache, padding=padding)
y, torch.cat((first, second), 1)
"""
GRADIENTS = """
x.requires_grad_()
layer.zero_grad()
layer(x, padding=padding)[0].square().sum().backward()
x.grad, {name: parameter.grad for name, parameter in layer.named_parameters()}
"""


def build(heads=6, kv_heads=2, dtype="float64"):
    """The layer's weights, by name; the layer itself stays in its room."""
    return ask(BUILD, heads=heads, kv_heads=kv_heads, dtype=dtype)


def formula(weights, x, heads, kv_heads, head_dim, padding=None):
    batch, length, _ = x.shape
    q, k, v = (x @ weights[f"{p}_proj.weight"].T for p in "qkv")
    rows = []
    for b in range(batch):
        for t in range(length):
            seen = [s for s in range(t + 1) if padding is None or padding[b, s]]
            for h in range(heads):
                own, shared = slice(h * head_dim, (h + 1) * head_dim), h * kv_heads // heads
                other = slice(shared * head_dim, (shared + 1) * head_dim)
                if not seen:
                    rows.append(v[b, 0, other] * 0)
                    continue
                scores = torch.stack([q[b, t, own] @ k[b, s, other] for s in seen]) / math.sqrt(head_dim)
                chances = scores.softmax(0)
                rows.append(sum(chances[i] * v[b, s, other] for i, s in enumerate(seen)))
    mixed = torch.stack(rows).reshape(batch, length, heads * head_dim)
    return mixed @ weights["o_proj.weight"].T


def test_parameters():
    shapes = {name: tuple(p.shape) for name, p in build().items()}
    wanted = {"q_proj.weight": (24, 12), "k_proj.weight": (8, 12), "v_proj.weight": (8, 12), "o_proj.weight": (12, 24)}
    assert shapes == wanted
    assert refuses("GroupedQueryAttention(12, 6, 4, 4)")


def test_whole_sequence():
    torch.manual_seed(10)
    for heads, kv_heads in ((6, 2), (4, 4), (4, 1), (6, 3)):
        weights, x = build(heads, kv_heads), torch.randn(2, 5, 12, dtype=torch.float64)
        y, (keys, values) = ask("layer(x)", x=x)
        close(y, formula(weights, x, heads, kv_heads, 4))
        close(keys, (x @ weights["k_proj.weight"].T).reshape(2, 5, kv_heads, 4).transpose(1, 2))
        close(values, (x @ weights["v_proj.weight"].T).reshape(2, 5, kv_heads, 4).transpose(1, 2))


def test_in_pieces():
    torch.manual_seed(11)
    weights, x = build(), torch.randn(2, 9, 12, dtype=torch.float64)
    whole = formula(weights, x, 6, 2, 4)
    cached = [(x @ weights[f"{p}_proj.weight"].T).reshape(2, 9, 2, 4).transpose(1, 2) for p in "kv"]
    for cuts in ([1] * 9, [4, 1, 4], [3, 5, 1], [8, 1]):
        y, keys, values, same = ask(PIECES, x=x, cuts=cuts)
        close(y, whole)
        close(keys, cached[0])
        close(values, cached[1])
        assert same is True


def test_padding():
    torch.manual_seed(12)
    weights, x = build(), torch.randn(3, 6, 12, dtype=torch.float64)
    padding = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 1]]).bool()
    y, pieces = ask(PADDED, x=x, padding=padding)
    close(y, formula(weights, x, 6, 2, 4, padding))
    equal(y[0, :2], torch.zeros(2, 12, dtype=torch.float64))
    close(pieces, y)


def test_gradients_with_padding():
    torch.manual_seed(13)
    weights, x = build(), torch.randn(2, 4, 12, dtype=torch.float64)
    padding = torch.tensor([[False, False, True, True], [True, True, True, False]])
    said, parts = ask(GRADIENTS, x=x, padding=padding)
    x.requires_grad_()
    own = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    formula(own, x, 6, 2, 4, padding).square().sum().backward()
    close(said, x.grad)
    assert set(parts) == set(own)
    for name, each in own.items():
        close(parts[name], each.grad)
    leaf = torch.randn(1, 3, 12, dtype=torch.float64)
    said, _ = ask(GRADIENTS, x=leaf, padding=torch.ones(1, 3).bool())
    leaf.requires_grad_()
    formula(weights, leaf, 6, 2, 4).square().sum().backward()
    close(said, leaf.grad)


def test_half_precision():
    torch.manual_seed(14)
    weights, x = build(dtype="bfloat16"), torch.randn(2, 40, 12).bfloat16() * 4
    y, (keys, values) = ask("layer(x)", x=x)
    assert y.dtype == keys.dtype == values.dtype == torch.bfloat16 and y.shape == (2, 40, 12)
    exact = formula({name: each.double() for name, each in weights.items()}, x.double(), 6, 2, 4)
    assert (y - exact).abs().mean() / exact.abs().mean() < 0.05
    build(dtype="float16")
    x = torch.randn(1, 3, 12).half()
    y, _ = ask("layer(x, padding=padding)", x=x, padding=torch.tensor([[False, True, True]]))
    assert y.shape == (1, 3, 12) and y.isfinite().all() and y[0, 0].abs().sum() == 0
