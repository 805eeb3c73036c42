# Stands for the frozen tests with sha256 3b00de3a520f9d4c656033eed5a3142be77d3feb81886d27e9c0156389f60235
import copy

import torch
from examiner import ask, close, equal, refuses

# The model is built in both rooms from the same weights; each step's gradients come from the examiner.
BUILD = """
net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
net.load_state_dict(weights)


def groups():
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    first = {"params": matrices, "weight_decay": 0.3, "betas": (0.8, 0.95)}
    return [first, {"params": vectors, "lr": 0.05, "eps": 1e-3}]


mine = PlainAdamW(groups() if grouped else net.parameters(), **settings)
isinstance(mine, torch.optim.Optimizer)
"""
STEP = """
for group in mine.param_groups:
    group["lr"] *= rate
for parameter, slope in zip(net.parameters(), slopes):
    parameter.grad = slope
mine.step()
list(net.parameters())
"""
RESUME = """
import copy

saved, other = copy.deepcopy(mine.state_dict()), copy.deepcopy(net)
net = other
mine = PlainAdamW(groups(), lr=9.0)
mine.load_state_dict(saved)
"""
CLOSURE = """
def closure():
    mine.zero_grad()
    loss = net(x).square().sum()
    loss.backward()
    return loss


loss = mine.step(closure)
after = [p.detach().clone() for p in net.parameters()]
loss.item(), after, mine.step() is None, all(p.is_leaf and p.requires_grad for p in net.parameters())
"""
CLIPPED = """
parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
other = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
parts = [{"params": [parameter], "max_update_rms": c}, {"params": [other]}]
mine = PlainAdamW(parts, lr=0.1, weight_decay=0.2, betas=(0.9, 0.99))
for gradient in gradients:
    parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    mine.step()
parameter.detach()
"""
STILL = """
still = torch.nn.Parameter(torch.ones(2))
still.grad = torch.zeros(2)
PlainAdamW([still], lr=0.1, weight_decay=0.0, max_update_rms=0.5).step()
still
"""


def model():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()


def groups(net):
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    return [
        {"params": matrices, "weight_decay": 0.3, "betas": (0.8, 0.95)},
        {"params": vectors, "lr": 0.05, "eps": 1e-3},
    ]


def backward(net, step, scale=1.0):
    net.zero_grad()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    (net(x).square().sum() * scale).backward()


class Twins:
    """The answer's optimizer and torch's, over equal models, with the same gradients."""

    def __init__(self, grouped=False, **settings):
        self.net = model()
        self.theirs = torch.optim.AdamW(groups(self.net) if grouped else self.net.parameters(), **settings)
        weights = {name: each.clone() for name, each in self.net.state_dict().items()}
        assert ask(BUILD, weights=weights, grouped=grouped, settings=settings) is True

    def step(self, slopes=None, rate=1.0, tolerance=1e-10):
        if slopes is None:
            slopes = [p.grad for p in self.net.parameters()]
        for group in self.theirs.param_groups:
            group["lr"] *= rate
        said = ask(STEP, slopes=slopes, rate=rate)
        for parameter, slope in zip(self.net.parameters(), slopes, strict=True):
            parameter.grad = slope
        self.theirs.step()
        assert len(said) == 4
        for own, other in zip(said, self.net.parameters(), strict=True):
            close(own, other.detach(), rtol=tolerance, atol=tolerance)


def test_defaults_equal_torch():
    twins = Twins()
    for step in range(25):
        backward(twins.net, step)
        twins.step()


def test_groups_and_changing_rates():
    twins = Twins(grouped=True, lr=0.02)
    for step in range(25):
        backward(twins.net, step)
        twins.step(rate=0.9)


def test_tiny_gradients_show_where_eps_goes():
    twins = Twins(eps=1e-4)
    for step in range(10):
        backward(twins.net, step, 1e-5)
        twins.step()


def test_missing_and_zero_gradients():
    twins = Twins(lr=0.1)
    for step in range(9):
        backward(twins.net, step)
        slopes = [p.grad for p in twins.net.parameters()]
        if step % 3 == 1:
            slopes[0] = None
        if step in (0, 2, 3):
            slopes[3] = None
        if step == 5:
            slopes[2] = torch.zeros_like(slopes[2])
        twins.step(slopes)


def test_resume():
    twins = Twins(grouped=True, lr=0.02)
    for step in range(14):
        if step == 7:
            ask(RESUME)
        backward(twins.net, step)
        twins.step()


def test_closure():
    twins = Twins()
    x = torch.ones(2, 6, dtype=torch.float64)
    loss, after, nothing, leaves = ask(CLOSURE, x=x)
    close(loss, twins.net(x).square().sum().item(), rtol=1e-9)
    assert nothing is True and leaves is True
    own, before = copy.deepcopy(twins.net), twins.net
    own.zero_grad()
    own(x).square().sum().backward()
    optimizer = torch.optim.AdamW(own.parameters())
    optimizer.step()
    for said, moved, start in zip(after, own.parameters(), before.parameters(), strict=True):
        assert not torch.equal(said, start)
        close(said, moved.detach(), rtol=1e-9, atol=1e-9)


def reference_steps(gradients, c, lr=0.1, decay=0.2, betas=(0.9, 0.99), eps=1e-8):
    value, m, v = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for t, gradient in enumerate(gradients, 1):
        m = [betas[0] * a + (1 - betas[0]) * g for a, g in zip(m, gradient, strict=True)]
        v = [betas[1] * a + (1 - betas[1]) * g * g for a, g in zip(v, gradient, strict=True)]
        u = [a / (1 - betas[0] ** t) / ((b / (1 - betas[1] ** t)) ** 0.5 + eps) for a, b in zip(m, v, strict=True)]
        size = (sum(each * each for each in u) / 2) ** 0.5
        u = [each * min(1.0, c / size) if size > 0 else each for each in u]
        value = [x * (1 - lr * decay) - lr * each for x, each in zip(value, u, strict=True)]
    return torch.tensor(value, dtype=torch.float64)


def test_clipped_updates():
    gradients = [(0.1, -0.1), (0.0, 0.3), (5.0, -4.0), (30.0, 0.1), (0.01, 0.0), (0.0, 0.0)]
    for c in (0.5, 1.0, 1.2, 50.0):
        close(ask(CLIPPED, c=c, gradients=gradients), reference_steps(gradients, c))
    equal(ask(STILL), torch.ones(2))


def test_refusals():
    for bad in ({"lr": -1.0}, {"eps": -1e-8}, {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"weight_decay": -0.1}):
        assert refuses("PlainAdamW([torch.nn.Parameter(torch.ones(1))], **bad)", bad=bad), bad
