# Stands for the frozen tests with sha256 3f5e1548da3310c4d9dc8eccae41681d47996842d5dcd5e35e708e911ce28e47
import math

import torch
from examiner import ask, close

CALL = "chunked_loss(hidden, weight, labels, chunk=chunk, z_weight=z_weight)"
GRADIENTS = """
hidden.requires_grad_(), weight.requires_grad_()
(chunked_loss(hidden, weight, labels, chunk=chunk, z_weight=0.2) * factor).backward()
hidden.grad, weight.grad
"""
ONE_SIDE = """
other = hidden.clone().requires_grad_()
chunked_loss(other, weight, labels, 3, 0.2).backward()
side = weight.clone().requires_grad_()
chunked_loss(hidden, side, labels, 3, 0.2).backward()
with torch.no_grad():
    value = chunked_loss(hidden, weight, labels, 3, 0.2)
other.grad, side.grad, value
"""
NOTHING = """
hidden.requires_grad_(), weight.requires_grad_()
loss = chunked_loss(hidden, weight, labels, 3, 0.2)
loss.backward()
loss.detach(), hidden.grad, weight.grad
"""
HALF = """
hidden.requires_grad_(), weight.requires_grad_()
loss = chunked_loss(hidden, weight, labels, 16, 1e-3)
loss.backward()
loss, hidden.grad, weight.grad
"""
# The largest tensor that any operation makes, and how much of what backward needs is kept.
MEMORY = """
from torch.utils._python_dispatch import TorchDispatchMode


class Largest(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for each in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(each, torch.Tensor):
                self.numel = max(self.numel, each.numel())
        return out


kept = {}


def pack(tensor):
    kept[tensor.data_ptr()] = max(tensor.numel(), kept.get(tensor.data_ptr(), 0))
    return tensor


hidden.requires_grad_(), weight.requires_grad_()
with Largest() as largest:
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = chunked_loss(hidden, weight, labels, chunk=8, z_weight=1e-2)
    loss.backward()
largest.numel, sum(kept.values()), loss
"""


def formula(hidden, weight, labels, z_weight, ignore=-100):
    total, count = 0.0, 0
    for row, label in zip(hidden.tolist(), labels.tolist(), strict=True):
        if label == ignore:
            continue
        logits = [sum(a * b for a, b in zip(row, column, strict=True)) for column in weight.tolist()]
        top = max(logits)
        lse = top + math.log(sum(math.exp(v - top) for v in logits))
        total, count = total + lse - logits[label] + z_weight * lse * lse, count + 1
    return total / count


def data(tokens=11, dim=5, vocabulary=13, dtype=torch.float64):
    torch.manual_seed(1)
    hidden, weight = torch.randn(tokens, dim), torch.randn(vocabulary, dim)
    labels = torch.randint(0, vocabulary, (tokens,))
    labels[2:6] = -100
    return hidden.to(dtype), weight.to(dtype), labels


def dense(hidden, weight, labels, z_weight):
    logits = (hidden @ weight.T)[labels != -100]
    lse, kept = logits.logsumexp(-1), labels[labels != -100]
    return (lse - logits[torch.arange(len(kept)), kept] + z_weight * lse.square()).mean()


def exact_gradients(hidden, weight, labels, factor=1.0, z_weight=0.2):
    hidden, weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    return torch.autograd.grad(dense(hidden, weight, labels, z_weight) * factor, (hidden, weight))


def test_value_for_every_chunk():
    hidden, weight, labels = data()
    for z_weight in (0.0, 1e-2, 0.5):
        wanted = torch.tensor(formula(hidden, weight, labels, z_weight), dtype=torch.float64)
        for chunk in (1, 2, 3, 4, 11, 256):
            said = ask(CALL, hidden=hidden, weight=weight, labels=labels, chunk=chunk, z_weight=z_weight)
            close(said, wanted, rtol=0, atol=1e-9)
    own = labels.masked_fill(labels == -100, 7)
    said = ask("chunked_loss(hidden, weight, own, 3, 0.1, ignore_index=7)", hidden=hidden, weight=weight, own=own)
    close(said, torch.tensor(formula(hidden, weight, own, 0.1, 7), dtype=torch.float64), rtol=0, atol=1e-9)


def test_gradients():
    for chunk, factor in ((3, 1.0), (4, 3.0), (64, -0.5)):
        hidden, weight, labels = data()
        said = ask(GRADIENTS, hidden=hidden, weight=weight, labels=labels, chunk=chunk, factor=factor)
        for own, exact in zip(said, exact_gradients(hidden, weight, labels, factor), strict=True):
            close(own, exact)
        assert said[0][2:6].abs().sum() == 0


def test_one_side_frozen():
    hidden, weight, labels = data()
    *gradients, value = ask(ONE_SIDE, hidden=hidden, weight=weight, labels=labels)
    for own, exact in zip(gradients, exact_gradients(hidden, weight, labels), strict=True):
        close(own, exact)
    close(value, formula(hidden, weight, labels, 0.2), atol=1e-9)


def test_nothing_counts():
    hidden, weight, labels = data()
    loss, *gradients = ask(NOTHING, hidden=hidden, weight=weight, labels=torch.full_like(labels, -100))
    assert float(loss) == 0 and len(gradients) == 2
    assert all(each is None or (each.isfinite().all() and each.abs().sum() == 0) for each in gradients)


def test_half_precision():
    hidden, weight, labels = data(tokens=40, dim=16, vocabulary=200, dtype=torch.bfloat16)
    loss, *gradients = ask(HALF, hidden=hidden, weight=weight, labels=labels)
    logits = (hidden @ weight.T).double()[labels != -100]
    kept, lse = labels[labels != -100], logits.logsumexp(-1)
    wanted = (lse - logits[torch.arange(len(kept)), kept] + 1e-3 * lse.square()).mean()
    close(loss, wanted.float(), rtol=0, atol=1e-4)
    exact = exact_gradients(hidden.double(), weight.double(), labels, z_weight=1e-3)
    for own, other in zip(gradients, exact, strict=True):
        assert own.dtype == torch.bfloat16 and own.shape == other.shape
        assert (own.double() - other).norm() / other.norm() < 0.03


def test_memory():
    hidden, weight, labels = data(tokens=128, dim=4, vocabulary=512, dtype=torch.float32)
    largest, kept, loss = ask(MEMORY, hidden=hidden, weight=weight, labels=labels)
    assert largest <= 8 * 512 and kept <= 3 * (128 * 4 + 512 * 4) + 8 * 512
    close(loss, dense(hidden, weight, labels, 1e-2))
