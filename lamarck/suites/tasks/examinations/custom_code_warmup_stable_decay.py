# Stands for the frozen tests with sha256 fe6d991c643cca7b4546567783e1e1772c5baa4b3a2135a45ad6bc098eaf4274
import math

from examiner import ask, refuses

BUILD = """
def optimizer(rates):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], lr=1.0)


def rates(opt):
    return [group["lr"] for group in opt.param_groups]


opt = optimizer(starts)
schedule = WarmupStableDecay(opt, *numbers, **settings)
rates(opt)
"""
LOOK = "[rates(opt), list(schedule.last_rates), schedule.t, schedule.factor(schedule.t)]"
STEP = f"opt.step()\nschedule.step()\n{LOOK}"
RESUMED = """
import copy
import json

saved, weights = json.loads(json.dumps(schedule.state_dict())), copy.deepcopy(opt.state_dict())
seen = []
for loaded_first in (True, False):
    other = optimizer([7.0, 8.0])
    if loaded_first:
        other.load_state_dict(weights)
    resumed = WarmupStableDecay(other, 1, 1, 3, 0.9)
    if not loaded_first:
        other.load_state_dict(weights)
    resumed.load_state_dict(saved)
    twin = copy.deepcopy(saved)
    for _ in range(8):
        seen.append([rates(other), resumed.t])
        resumed.step()
    seen.append(saved == twin)
seen
"""
COPIED = """
import copy

first = schedule.state_dict()
before = copy.deepcopy(first)
schedule.step(), schedule.extend(30)
[first == before, before != schedule.state_dict()]
"""
REFUSED = """
before = schedule.state_dict(), rates(opt)
try:
    schedule.extend(total)
    refused = False
except ValueError:
    refused = True
[refused, (schedule.state_dict(), rates(opt)) == before]
"""
ACROSS = """
other = optimizer([1.0])
resumed = WarmupStableDecay(other, 0, 0, 1)
resumed.load_state_dict(schedule.state_dict())
seen = []
for _ in range(6):
    seen.append(rates(other))
    resumed.step()
seen
"""
LATE = """
schedule.step()
opt.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 2.0})
schedule.step()
first = rates(opt)
schedule.step(), schedule.step()
[first, rates(opt)]
"""


def build(starts, *numbers, **settings):
    return ask(BUILD, starts=list(starts), numbers=list(numbers), settings=settings)


def formula(t, warmup, decay, total, low):
    if t < warmup:
        return (t + 1) / warmup
    if t < total - decay:
        return 1.0
    if t < total:
        return low + (1 - low) * (1 + math.cos(math.pi * (t - total + decay + 1) / decay)) / 2
    return low


def near(said, wanted):
    assert type(said) is list and len(said) == len(wanted)
    assert all(type(a) in (int, float) and abs(a - b) < 1e-12 for a, b in zip(said, wanted, strict=True)), (
        said,
        wanted,
    )


def test_rates():
    for warmup, decay, total, low in ((4, 6, 20, 0.1), (0, 5, 5, 0.0), (3, 0, 8, 0.5), (2, 3, 5, 0.2), (0, 0, 3, 0.3)):
        build((0.3, 0.02), warmup, decay, total, min_ratio=low)
        for t in range(total + 15):
            now, last, step, factor = ask(STEP if t else LOOK)
            wanted = formula(t, warmup, decay, total, low)
            near(now, [0.3 * wanted, 0.02 * wanted])
            assert last == now and step == t
            near([factor], [wanted])


def test_factor_changes_nothing():
    build((1.0,), 5, 5, 20)
    assert ask("[round(schedule.factor(t), 6) for t in (19, 20, 4, 0)]") == [0.1, 0.1, 1.0, 0.2]
    assert ask("[rates(opt), schedule.t]") == [[0.2], 0]


def test_resume_into_any_object():
    build((0.3, 0.02), 4, 6, 20, 0.05)
    ask("for _ in range(16):\n    schedule.step()")
    said = ask(RESUMED)
    assert len(said) == 18
    for half in (said[:9], said[9:]):
        for t, (now, step) in enumerate(half[:8], 16):
            wanted = formula(t, 4, 6, 20, 0.05)
            near(now, [0.3 * wanted, 0.02 * wanted])
            assert step == t
        assert half[8] is True


def test_state_is_a_copy():
    build((0.3, 0.02), 4, 6, 20)
    assert ask(COPIED) == [True, True]


def test_extend():
    build((0.3,), 2, 4, 10)
    ask("for _ in range(5):\n    schedule.step()\nschedule.extend(16)")
    for t in range(5, 12):
        near(ask("rates(opt)"), [0.3 * formula(t, 2, 4, 16, 0.1)])
        ask("schedule.step()")
    for total in (15, 30):
        assert ask(REFUSED, total=total) == [True, True], total


def test_extend_backwards_and_across_a_resume():
    build((0.3,), 2, 4, 20)
    ask("for _ in range(9):\n    schedule.step()")
    assert refuses("schedule.extend(12)"), "the decay would have begun at 8"
    ask("schedule.extend(13)")
    near(ask("rates(opt)"), [0.3 * formula(9, 2, 4, 13, 0.1)])
    for t, now in enumerate(ask(ACROSS), 9):
        near(now, [0.3 * formula(t, 2, 4, 13, 0.1)])


def test_late_group():
    build((0.3,), 4, 4, 12)
    first, last = ask(LATE)
    near(first, [0.3 * 0.75, 2.0 * 0.75])
    near(last, [0.3, 2.0])


def test_refusals():
    build((1.0,), 2, 2, 9)
    for bad in ((-1, 2, 9), (2, -1, 9), (5, 5, 9), (0, 0, 0), (1, 1, 9, -0.1), (1, 1, 9, 1.1)):
        assert refuses("WarmupStableDecay(optimizer([1.0]), *bad)", bad=bad), bad
