# Stands for the frozen tests with sha256 f4af4949ad47d30f0a28113e012e96adec5f49513e31cdef8924bc043b0b2658
import torch
from examiner import ask, equal

LOSS = """
saved = ROWS[0].clone()
ROWS[0] = changed
inputs, labels = data[0]
value = model(inputs[None].clone(), labels[None].clone()).item()
ROWS[0] = saved
value
"""


def check_it_counts():
    for start in range(10):
        said = ask("list(generate(model, [start], 12))", start=start)
        assert said == [(start + step) % 10 for step in range(13)], start
    assert ask("list(generate(model, [4, 5, 6], 3))") == [4, 5, 6, 7, 8, 9]


def still_what_was_right():
    rows = torch.stack([(torch.arange(16) + start) % 10 for start in range(10)])
    equal(ask("ROWS"), rows)
    losses, steps = ask("[losses, STEPS]")
    assert len(losses) == steps == 200 and losses[-1] < 0.05 < losses[0]
    assert ask("tuple(model(torch.tensor([[1, 2, 3]])).shape)") == (1, 3, 10)
    # Every token but the first is a label: a wrong one anywhere costs.
    right = ask(LOSS, changed=rows[0])
    for place in range(1, 16):
        row = rows[0].clone()
        row[place] = (row[place] + 5) % 10
        assert ask(LOSS, changed=row) > right + 0.05, place
