# Stands for the frozen tests with sha256 1e20d93d3c4376facfbedae813e12c3a5cc105e26f6b6703d84380ffda3cefc8
import torch
from examiner import ask, close, equal

FORWARD = """
norm = FastRMSNorm(24, eps=1e-3)
start, names = norm.weight.detach().clone(), [name for name, _ in norm.named_parameters()]
with torch.no_grad():
    norm.weight.copy_(weight)
names, start
"""
GRADIENTS = """
a, b = x.requires_grad_(), weight.requires_grad_()
y = RMSNormFunction.apply(a, b, eps)
y, *torch.autograd.grad(y, (a, b), out)
"""
TRANSPOSED = "x = x.transpose(0, 2)\n" + GRADIENTS
FROZEN = """
weight, x = torch.ones(4, requires_grad=True), torch.arange(8.0).reshape(2, 4)
RMSNormFunction.apply(x, weight, 1e-6).sum().backward()
first = weight.grad, x.grad
frozen, x = torch.ones(4), torch.arange(8.0).reshape(2, 4).requires_grad_()
RMSNormFunction.apply(x, frozen, 1e-6).sum().backward()
first, (frozen.grad, x.grad)
"""
KEPT = """
norm = FastRMSNorm(48)
x.requires_grad_()
kept = {}


def pack(tensor):
    kept[tensor.data_ptr()] = tensor.numel()
    return tensor


with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
    y = norm(x)
for own in (x, norm.weight):
    kept.pop(own.data_ptr(), None)
y.requires_grad, sum(kept.values()), y
"""


def formula(x, weight, eps):
    x, weight = x.double(), weight.double()
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


def exact(x, weight, eps, out):
    x, weight = x.double().requires_grad_(), weight.double().requires_grad_()
    return torch.autograd.grad(formula(x, weight, eps), (x, weight), out.double())


def test_forward():
    torch.manual_seed(1)
    weight = torch.rand(24) * 1.5 + 0.5
    names, start = ask(FORWARD, weight=weight)
    assert names == ["weight"]
    equal(start, torch.ones(24))
    for shape in ((24,), (5, 24), (2, 3, 4, 24)):
        x = torch.randn(shape) * 0.05
        close(ask("norm(x)", x=x), formula(x, weight, 1e-3).float(), rtol=1e-5, atol=1e-6)


def test_gradients():
    torch.manual_seed(2)
    weight = torch.randn(6, dtype=torch.float64)
    x = torch.randn(6, 3, 2, dtype=torch.float64)
    for _ in range(3):
        out = torch.randn(2, 3, 6, dtype=torch.float64)
        y, *slopes = ask(TRANSPOSED, x=x, weight=weight, eps=1e-4, out=out)
        close(y, formula(x.transpose(0, 2), weight, 1e-4))
        for own, wanted in zip(slopes, exact(x.transpose(0, 2), weight, 1e-4, out), strict=True):
            close(own, wanted)
    row, out = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    _, *slopes = ask(GRADIENTS, x=row, weight=weight, eps=0.1, out=out)
    for own, wanted in zip(slopes, exact(row, weight, 0.1, out), strict=True):
        close(own, wanted)


def test_one_input_without_gradient():
    (weight, x), (frozen, other) = ask(FROZEN)
    assert x is None and frozen is None
    rows, ones = torch.arange(8.0).reshape(2, 4), torch.ones(4)
    of_x, of_weight = exact(rows, ones, 1e-6, torch.ones(2, 4))
    close(weight, of_weight.float(), rtol=1e-4, atol=1e-5)
    close(other, of_x.float(), rtol=1e-3, atol=1e-5)


def test_half_precision_is_rounded_once():
    torch.manual_seed(3)
    for dtype in (torch.bfloat16, torch.float16):
        for weight in (torch.rand(64) + 0.5, (torch.rand(64) + 0.5).to(dtype)):
            x = torch.randn(256, 64).to(dtype)
            y = ask("RMSNormFunction.apply(x, weight, 1e-6)", x=x, weight=weight)
            assert y.dtype == dtype and y.shape == x.shape
            assert (y != formula(x, weight, 1e-6).to(dtype)).float().mean() < 0.01
    large = torch.full((2, 64), 300.0, dtype=torch.float16)
    close(ask("RMSNormFunction.apply(x, weight, 1e-6)", x=large, weight=torch.ones(64)), torch.ones(2, 64).half())


def test_half_precision_gradients():
    torch.manual_seed(4)
    x, weight = torch.randn(64, 64, 16).bfloat16(), (torch.rand(16) + 0.5).bfloat16()
    out = (torch.randn(64, 64, 16) + 0.5).bfloat16()
    _, *slopes = ask(GRADIENTS, x=x, weight=weight, eps=1e-6, out=out)
    for own, wanted in zip(slopes, exact(x, weight, 1e-6, out), strict=True):
        assert own.dtype == torch.bfloat16 and own.shape == wanted.shape
        assert (own.double() - wanted).norm() / wanted.norm() < 0.004


def test_what_is_kept():
    torch.manual_seed(5)
    x = torch.randn(32, 10, 48)
    learns, kept, y = ask(KEPT, x=x)
    assert learns is True and kept <= 320
    close(y, formula(x, torch.ones(48), 1e-6).float(), rtol=1e-3, atol=1e-3)
