# Stands for the frozen tests with sha256 9ce6c0644e42d1691960f93f4ce81830b84a979d1284badae0a96490b229cfa5
import torch
from examiner import ask, close
from torch.nn import functional as F

BLOCK = """
torch.manual_seed(3)
block = Block()
with torch.no_grad():
    block.gain.copy_(gain)
x.requires_grad_()
result = block(x + 0)
(result * weights).sum().backward()
result, x.grad, dict(block.named_parameters())
"""
FRESH = """
fresh = LM()
torch.nn.functional.cross_entropy(fresh(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()).backward()
[[name, p.grad is not None and p.grad.abs().sum().item()] for name, p in fresh.named_parameters()]
"""


def formula(own, x):
    def norm(place, x):
        return F.layer_norm(x, (16,), own[f"norm{place}.weight"], own[f"norm{place}.bias"])

    def linear(name, x):
        return F.linear(x, own[f"{name}.weight"], own[f"{name}.bias"])

    q, k, v = linear("qkv", norm(1, x)).view(2, 7, 3, 2, 8).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True) * own["gain"]
    wanted = x + linear("out", mixed.transpose(1, 2).reshape(2, 7, 16))
    return wanted + linear("down", linear("up", norm(2, wanted)).relu())


def check_it_learns():
    losses, steps = ask("[losses, STEPS]")
    assert len(losses) == steps == 150 and losses[-1] < 1.0


def still_what_was_right():
    torch.manual_seed(3)
    x, weights = torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    gain = torch.tensor([0.5, 2.0]).view(2, 1, 1)
    result, slope, own = ask(BLOCK, x=x, weights=weights, gain=gain)
    assert torch.equal(own["gain"], gain)
    x.requires_grad_()
    wanted = formula(own, x)
    close(result, wanted.detach(), rtol=1e-5, atol=1e-5)
    (wanted * weights).sum().backward()
    close(slope, x.grad, rtol=1e-5, atol=1e-4)
    # Every parameter is reached by the gradient.
    reached = ask(FRESH)
    assert len(reached) > 20 and all(type(size) is float and size > 0 for _, size in reached)
    assert ask("[len(model.blocks), tuple(rows.shape)]") == [3, (12, 11)]
