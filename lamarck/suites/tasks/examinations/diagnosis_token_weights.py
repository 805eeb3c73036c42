# Stands for the frozen tests with sha256 4f960a6daf3bc69290aa92157c8ee1d2a3f14e5cc2431618a1f5e234763a951d
import torch
from examiner import ask, close
from torch.nn import functional as F

STEP = """
import copy

start = copy.deepcopy(base)
with torch.no_grad():
    start.head.weight *= 8
own, sizes, steps = copy.deepcopy(start), [], []
own.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
descent = torch.optim.SGD(own.parameters(), lr=rate)
descent.register_step_post_hook(lambda *_: steps.append(1))
value = train_step(own, descent, ids, labels, size)
float(value), sizes, len(steps), dict(start.named_parameters()), dict(own.named_parameters())
"""


def data():
    torch.manual_seed(7)
    ids = torch.randint(16, (6, 9))
    labels = ids.clone()
    for row, count in zip(labels, (8, 1, 4, 9, 2, 6), strict=True):
        row[:-count] = -100
    return ids, labels


def reference(weights, ids, labels):
    """The loss of the whole batch, and its clipped gradients."""
    own = {name: each.clone().requires_grad_() for name, each in weights.items()}
    hidden = F.embedding(ids, own["embed.weight"]).tanh()
    logits = F.linear(hidden, own["head.weight"], own["head.bias"])[:, :-1]
    loss = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    loss.backward()
    assert torch.nn.utils.clip_grad_norm_(own.values(), 1.0) > 1.01  # so that the clipping shows
    return loss.item(), {name: each.grad for name, each in own.items()}


def check_pieces_make_no_difference():
    histories = ask("histories")
    for size in (2, 1):
        assert len(histories[size]) == len(histories[4]) == 20
        assert all(abs(a - b) < 1e-3 for a, b in zip(histories[4], histories[size], strict=True))


def still_what_was_right():
    histories, batches, steps = ask("[histories, len(batches), STEPS]")
    assert batches == steps == 20 and sorted(histories) == [1, 2, 4] and histories[4][-1] < histories[4][0]
    # What rows taken together gave before is still what one piece gives, piece by piece, on a batch never seen.
    ids, labels = data()
    for rate in (0.5, 5.0):
        for size in (6, 3, 2, 1):
            value, sizes, stepped, start, after = ask(STEP, ids=ids, labels=labels, rate=rate, size=size)
            loss, slopes = reference(start, ids, labels)
            assert sizes == [size] * (6 // size) and stepped == 1 and set(after) == set(slopes)
            close(value, loss, atol=1e-4)
            for name, slope in slopes.items():
                close(start[name] - after[name], rate * slope, rtol=1e-5, atol=1e-4)
