# Stands for the frozen tests with sha256 57844bf40c2c28bcd645e5c7c8843cca64e8ec638e5d2e2acf66050e45cd220b
import torch
from examiner import ask, close, equal

BUILD = """
base = torch.nn.Linear(10, 7, bias=base_bias is not None).to(base_weight.dtype)
with torch.no_grad():
    base.weight.copy_(base_weight)
    if base_bias is not None:
        base.bias.copy_(base_bias)
torch.manual_seed(1)
layer = LoRALinear(base, rank, alpha, dropout)
with torch.no_grad():
    layer.lora_b.copy_(lora_b)
layer.lora_a, layer.lora_b
"""
START = """
fresh = torch.nn.Linear(10, 7)
before = fresh(x).detach()
layer = LoRALinear(fresh, 3, 12)
learns = sorted(name for name, p in layer.named_parameters() if p.requires_grad)
[layer.base is fresh, layer.merged, torch.equal(layer(x), before), learns, layer.lora_a, layer.lora_b]
"""
GRADIENTS = """
out = layer(x)
out.square().sum().backward()
out, layer.base.weight.grad, layer.base.bias.grad, layer.lora_a.grad, layer.lora_b.grad
"""
MERGED = """
with torch.no_grad():
    layer.unmerge()
    untouched = layer.base.weight.clone()
    layer.merge(), layer.merge()
    merged = layer.base.weight.clone(), layer.merged, layer(x), layer.base(x)
    layer.unmerge(), layer.unmerge()
untouched, merged, layer.merged, layer.base.weight
"""
TRAINED = """
layer.merge()
layer.unmerge()
before = layer(x).detach()
layer(x).sum().backward()
with torch.no_grad():
    layer.lora_b -= 0.1 * layer.lora_b.grad
after = layer(x).detach()
b = layer.lora_b.detach().clone()
layer.merge()
before, after, b, layer.base.weight
"""
INJECTED = """
import copy


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.base = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.norm = torch.nn.LayerNorm(8)

    def forward(self, x):
        return self.norm(self.q_proj(x) + self.k_proj(x) + self.base(x))


torch.manual_seed(2)
model = torch.nn.Sequential(Block(), torch.nn.ModuleDict({"inner": Block()}), torch.nn.Linear(8, 2))
found = list(inject(model, ["q_proj", "base"], 2, 4))
kinds = [isinstance(model[0].q_proj, LoRALinear), isinstance(model[0].k_proj, torch.nn.Linear)]
kinds.append(isinstance(model[1]["inner"].base.base, torch.nn.Linear))
learns = sorted({n.rsplit(".", 1)[1] for n, p in model.named_parameters() if p.requires_grad})
again = list(inject(model, ["q_proj", "base"], 2, 4))
kinds.append(isinstance(model[0].base.base, torch.nn.Linear))
state = adapter_state(model)
other = copy.deepcopy(model)
with torch.no_grad():
    for _, parameter in other.named_parameters():
        if parameter.requires_grad:
            parameter.normal_()
first = {name: value.clone() for name, value in adapter_state(other).items()}
unexpected = list(other.load_state_dict(state, strict=False).unexpected_keys)
loaded = adapter_state(other)
with torch.no_grad():
    model[0].base.lora_b.fill_(9.0)
found, kinds, learns, again, dict(state), first, unexpected, dict(loaded), state["0.base.lora_a"].requires_grad
"""


def build(dtype=torch.float32, bias=True, rank=3, alpha=12, dropout=0.0):
    torch.manual_seed(1)
    base = torch.nn.Linear(10, 7, bias=bias).to(dtype)
    weight, offset = base.weight.detach(), base.bias.detach() if bias else None
    lora_b = torch.randn(7, rank) * 0.3
    a, b = ask(BUILD, base_weight=weight, base_bias=offset, rank=rank, alpha=alpha, dropout=dropout, lora_b=lora_b)
    assert a.dtype == b.dtype == torch.float32 and a.shape == (rank, 10)
    equal(b, lora_b)
    return weight, offset, b @ a * (alpha / rank)


def test_start():
    same, merged, untouched, learns, a, b = ask(START, x=torch.randn(4, 10))
    assert same is True and merged is False and untouched is True and learns == ["lora_a", "lora_b"]
    assert a.shape == (3, 10) and b.shape == (7, 3) and a.abs().sum() > 0 and b.abs().sum() == 0


def test_forward_and_gradients():
    weight, bias, delta = build()
    x = torch.randn(2, 5, 10)
    out, *gradients = ask(GRADIENTS, x=x)
    close(out, x @ (weight + delta).T + bias, rtol=1e-4, atol=1e-5)
    assert gradients[:2] == [None, None]
    assert gradients[2].abs().sum() > 0 and gradients[3].abs().sum() > 0


def test_merge_and_unmerge():
    for dtype in (torch.float32, torch.bfloat16):
        for bias in (True, False):
            weight, _, delta = build(dtype, bias)
            untouched, merged, still, restored = ask(MERGED, x=torch.randn(3, 10).to(dtype))
            equal(untouched, weight)
            equal(restored, weight)
            inside, is_merged, out, plain = merged
            assert is_merged is True and still is False and inside.dtype == dtype
            wanted = (weight.float() + delta).to(dtype).float()
            assert torch.isclose(inside.float(), wanted, rtol=1e-5, atol=1e-6).float().mean() > 0.95
            close(out, plain)


def test_training_after_unmerge():
    weight, _, _ = build()
    a, _ = ask("layer.lora_a, layer.lora_b")
    before, after, b, merged = ask(TRAINED, x=torch.randn(3, 10))
    assert before.shape == after.shape == (3, 7) and not torch.allclose(before, after)
    close(merged, weight + b @ a * 4.0, rtol=1e-4, atol=1e-5)


def test_bfloat16_base():
    weight, bias, delta = build(torch.bfloat16)
    x = torch.randn(64, 10).bfloat16()
    y = ask("layer(x)", x=x)
    assert y.dtype == torch.bfloat16 and y.shape == (64, 7)
    plain = torch.nn.functional.linear(x, weight, bias)
    exact = (plain.float() + x.float() @ delta.T).bfloat16()
    assert (y != exact).float().mean() < 0.02


def test_dropout():
    weight, bias, delta = build(dropout=0.5)
    x = torch.randn(64, 10)
    one, other = ask("layer(x), layer(x)", x=x)
    assert one.shape == other.shape == (64, 7) and not torch.equal(one, other)
    still = ask("layer.eval()\nlayer(x)", x=x)
    close(still, torch.nn.functional.linear(x, weight, bias) + x @ delta.T, rtol=1e-4, atol=1e-5)


def test_inject():
    found, kinds, learns, again, state, first, unexpected, loaded, learning = ask(INJECTED)
    assert found == ["0.q_proj", "0.base", "1.inner.q_proj", "1.inner.base"]
    assert kinds == [True] * 4 and learns == ["lora_a", "lora_b"] and again == [] and unexpected == []
    assert set(state) == {f"{name}.{part}" for name in found for part in ("lora_a", "lora_b")}
    assert all(each.shape == ((2, 8) if name.endswith("lora_a") else (8, 2)) for name, each in state.items())
    assert not torch.equal(first["0.base.lora_b"], state["0.base.lora_b"])
    assert set(loaded) == set(state)
    for name, value in state.items():
        equal(loaded[name], value)
    assert state["0.base.lora_b"].abs().sum() == 0 and learning is False
