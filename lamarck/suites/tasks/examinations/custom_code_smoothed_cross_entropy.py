# Stands for the frozen tests with sha256 bb8b5e88f011d97de49975ce516dc5a432ed7517c647b56453849deeb950684c
import math

import torch
from examiner import ask, refuses

CALL = "smoothed_cross_entropy(logits, labels, **settings)"
GRADIENT = """
logits.requires_grad_()
loss = smoothed_cross_entropy(logits, labels, smoothing)
loss.backward()
loss.detach(), logits.grad, loss.requires_grad
"""


def formula(logits, labels, smoothing, ignore=-100):
    losses = []
    rows = logits.double().reshape(-1, logits.shape[-1]).tolist()
    for row, label in zip(rows, labels.reshape(-1).tolist(), strict=True):
        if label == ignore:
            continue
        on = [v for v in row if v != -math.inf]
        total = max(on) + math.log(sum(math.exp(v - max(on)) for v in on))
        spread = sum(total - v for v in on) / len(on)
        losses.append((1 - smoothing) * (total - row[label]) + smoothing * spread)
    return sum(losses) / len(losses)


def near(value, wanted, dtype=torch.float32, tolerance=1e-5):
    assert isinstance(value, torch.Tensor) and value.shape == () and value.dtype == dtype
    assert abs(float(value) - wanted) <= tolerance * max(1.0, abs(wanted)), (float(value), wanted)


def loss_of(logits, labels, **settings):
    return ask(CALL, logits=logits, labels=labels, settings=settings)


def test_values():
    torch.manual_seed(1)
    logits, labels = torch.randn(3, 4, 7) * 3, torch.randint(0, 7, (3, 4))
    labels[0, 1] = labels[2] = -100
    for smoothing in (0.0, 0.1, 0.6):
        near(loss_of(logits, labels, smoothing=smoothing), formula(logits, labels, smoothing))
    near(loss_of(logits, labels), formula(logits, labels, 0.1))
    labels[labels == -100] = 3
    near(loss_of(logits, labels, smoothing=0.2, ignore_index=3), formula(logits, labels, 0.2, 3))
    near(loss_of(logits[0, 0], labels[0, 0], smoothing=0.2), formula(logits[0, 0], labels[0, 0], 0.2))


def test_classes_off():
    torch.manual_seed(2)
    logits, labels = torch.randn(6, 9, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, -100])
    logits[:, 6:] = -math.inf
    logits[1, 2:5] = -math.inf
    logits[2] = torch.tensor([-math.inf] * 2 + [4.0] + [-math.inf] * 6)
    loss, slope, _ = ask(GRADIENT, logits=logits, labels=labels, smoothing=0.3)
    near(loss, formula(logits, labels, 0.3), torch.float64, 1e-12)
    assert slope.isfinite().all()
    on = (logits > -math.inf).double()
    wanted = logits.softmax(-1) - 0.3 * on / on.sum(-1, keepdim=True)
    wanted[torch.arange(5), labels[:5]] -= 0.7
    wanted[5] = 0
    torch.testing.assert_close(slope, wanted / 5)
    assert slope[:, 6:].abs().sum() == 0 and slope[5].abs().sum() == 0
    off = torch.tensor([[0.0, -math.inf, 1.0]])
    assert float(loss_of(off, torch.tensor([1]), smoothing=0.1)) == math.inf


def test_gradient_of_all_classes():
    torch.manual_seed(3)
    logits, labels = torch.randn(2, 3, 5, dtype=torch.float64), torch.tensor([[0, 4, -100], [2, -100, 1]])
    _, slope, _ = ask(GRADIENT, logits=logits, labels=labels, smoothing=0.25)
    logits.requires_grad_()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.25).backward()
    torch.testing.assert_close(slope, logits.grad)


def test_garbage_where_ignored():
    logits, labels = torch.zeros(4, 3), torch.tensor([1, -100, -100, -100])
    logits[1], logits[2], logits[3] = math.nan, -math.inf, math.inf
    loss, slope, _ = ask(GRADIENT, logits=logits, labels=labels, smoothing=0.1)
    near(loss, math.log(3))
    assert slope.shape == (4, 3) and slope.isfinite().all()
    assert slope[1:].abs().sum() == 0 and slope[0].abs().sum() > 0


def test_nothing_counts():
    for fill in (0.0, math.nan):
        loss, slope, learns = ask(
            GRADIENT, logits=torch.full((2, 3), fill), labels=torch.full((2,), -100), smoothing=0.1
        )
        assert float(loss) == 0 and learns is True and torch.equal(slope, torch.zeros(2, 3))


def test_half_precision():
    torch.manual_seed(4)
    logits, labels = (torch.randn(8, 600) * 4).bfloat16(), torch.randint(0, 600, (8,))
    loss, slope, _ = ask(GRADIENT, logits=logits, labels=labels, smoothing=0.1)
    near(loss, formula(logits, labels, 0.1))
    assert slope.dtype == torch.bfloat16
    huge = torch.tensor([[60000.0, -60000.0]], dtype=torch.float16)
    near(loss_of(huge, torch.tensor([1]), smoothing=0.0), 120000.0)


def test_refusals():
    for smoothing in (-0.1, 1.0, 1.5):
        assert refuses(CALL, logits=torch.zeros(1, 2), labels=torch.tensor([0]), settings={"smoothing": smoothing})
