# Stands for the frozen tests with sha256 fecaa72b44b335cdd99a9762622c2a6dbb2e55440d057d200732a660f1d1456a
import math

import torch
from examiner import ask, close, refuses

MASKED = """
kept, before = mask.clone(), ids.clone()
dirty.requires_grad_()
first = sequence_logps(logits, ids, mask)
result = sequence_logps(dirty, ids, mask)
result.sum().backward()
first, result, dirty.grad, torch.equal(mask, kept), torch.equal(ids, before)
"""
SLOPES = """
logits.requires_grad_()
torch.autograd.grad(sequence_logps(logits, tokens, mask), logits, slope)[0]
"""
LOSS = """
four = [each.requires_grad_() for each in values]
out = dpo_loss(*four, beta=beta, label_smoothing=smoothing)
out["loss"].backward()
grads = [each.grad for each in four]
frees = [not out[name].requires_grad for name in ("chosen_reward", "rejected_reward")]
out["loss"], out["chosen_reward"], out["rejected_reward"], grads, frees
"""
EXTREME = """
far.requires_grad_()
out = dpo_loss(far, zero, zero, zero, beta=0.1)
out["loss"].backward()
out["loss"], far.grad, dpo_loss(slight, slight * 0, slight * 0, slight * 0, beta=0.25)["loss"]
"""


def formula(logits, tokens, mask):
    sums = []
    for row, ids, on in zip(logits.double().tolist(), tokens.tolist(), mask.tolist(), strict=True):
        total = 0.0
        for t in range(1, len(ids)):
            if on[t]:
                before = row[t - 1]
                top = max(before)
                total += before[ids[t]] - top - math.log(sum(math.exp(v - top) for v in before))
        sums.append(total)
    return torch.tensor(sums, dtype=torch.float64)


def batch(dtype=torch.float32, length=7, vocabulary=11):
    torch.manual_seed(1)
    logits, tokens = (torch.randn(3, length, vocabulary) * 2).to(dtype), torch.randint(0, vocabulary, (3, length))
    mask = torch.zeros(3, length, dtype=torch.bool)
    mask[0, 3:6] = mask[1, 0:2] = True
    return logits, tokens, mask


def test_logps():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        logits, tokens, mask = batch(dtype)
        said = ask("sequence_logps(logits, tokens, mask)", logits=logits, tokens=tokens, mask=mask)
        wanted = formula(logits, tokens, mask)
        close(said, wanted.to(dtype if dtype == torch.float64 else torch.float32), rtol=1e-5, atol=1e-5)
        assert said[2] == 0


def test_what_is_masked_does_not_matter():
    logits, tokens, mask = batch(torch.float64)
    wanted = formula(logits, tokens, mask)
    ids = tokens.clone()
    ids[~mask] = -100
    ids[0, 0], ids[2, 1] = 50_000, 11
    used = torch.zeros_like(mask)
    used[:, :-1] = mask[:, 1:]
    dirty = logits.clone()
    dirty[~used] = math.nan
    dirty[0, 0] = -math.inf
    first, result, slope, *kept = ask(MASKED, logits=logits, ids=ids, mask=mask, dirty=dirty)
    close(first, wanted)
    close(result, wanted)
    assert kept == [True, True] and slope.shape == dirty.shape
    assert slope.isfinite().all() and slope[~used].abs().sum() == 0 and slope[used].abs().sum() > 0


def test_logps_gradient():
    logits, tokens, mask = batch(torch.float64, length=4, vocabulary=5)
    mask[2, 2] = True
    logits.requires_grad_()
    chances = logits.log_softmax(-1)[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
    sums = (chances * mask[:, 1:]).sum(1)
    for slope in (torch.ones(3), torch.tensor([0.3, -2.0, 1.5])):
        (exact,) = torch.autograd.grad(sums, logits, slope.double(), retain_graph=True)
        said = ask(SLOPES, logits=logits.detach(), tokens=tokens, mask=mask, slope=slope.double())
        close(said, exact)


def pairs():
    torch.manual_seed(2)
    return [torch.randn(5, dtype=torch.float64) * 9 - 40 for _ in range(4)]


def test_loss_and_gradients():
    for beta, smoothing in ((0.1, 0.0), (0.5, 0.2), (2.0, 0.0)):
        pc, pr, rc, rr = values = pairs()
        loss, chosen, rejected, slopes, frees = ask(LOSS, values=values, beta=beta, smoothing=smoothing)
        margins = [(a - c) - (b - d) for a, b, c, d in zip(*(v.tolist() for v in values), strict=True)]
        wanted, exact = 0.0, []
        for m in margins:
            right, left = math.log1p(math.exp(-beta * m)), math.log1p(math.exp(beta * m))
            wanted += ((1 - smoothing) * right + smoothing * left) / 5
            chance = 1 / (1 + math.exp(-beta * m))
            exact.append(beta * (smoothing * chance - (1 - smoothing) * (1 - chance)) / 5)
        assert isinstance(loss, torch.Tensor)
        close(loss, wanted, atol=1e-9)
        close(slopes[0], torch.tensor(exact, dtype=torch.float64))
        close(slopes[1], -torch.tensor(exact, dtype=torch.float64))
        assert len(slopes) == 4 and all(each is None or each.abs().sum() == 0 for each in slopes[2:])
        close(chosen, beta * (pc - rc))
        close(rejected, beta * (pr - rr))
        assert frees == [True, True]


def test_extremes():
    zero, slight = torch.zeros(2), torch.tensor([200.0], dtype=torch.float64)
    loss, slope, small = ask(EXTREME, far=torch.tensor([-100_000.0, 100_000.0]), zero=zero, slight=slight)
    close(loss, 5000.0, atol=1e-2)
    close(slope, torch.tensor([-0.05, 0.0]))
    close(small, math.exp(-50), rtol=1e-6)


def test_accuracy():
    values = [torch.tensor([1.0, 0.0, -1.0, 2.0]), torch.zeros(4), torch.zeros(4), torch.tensor([0.0, 0.0, 0.0, -3.0])]
    close(ask("dpo_loss(*values, beta=0.1)['accuracy']", values=values), 0.25, atol=1e-6)


def test_refusals():
    one = torch.zeros(1)
    for settings in ({"beta": 0.0}, {"beta": -1.0}, {"label_smoothing": 0.5}, {"label_smoothing": -0.1}):
        assert refuses("dpo_loss(one, one, one, one, **settings)", one=one, settings=settings), settings
