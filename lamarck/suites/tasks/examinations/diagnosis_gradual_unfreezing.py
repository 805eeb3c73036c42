# Stands for the frozen tests with sha256 a6c64d0616d070d2949dae1ebd3ca6ecd156a06b659ba312658c588ad69a67b4
from examiner import ask

GROUPS = """
held = [id(p) for group in optimizer.param_groups for p in group["params"]]
own = [id(p) for p in model.parameters()]
groups = [[group["lr"], group["weight_decay"]] for group in optimizer.param_groups]
[set(held) == set(own), groups, isinstance(optimizer, torch.optim.AdamW)]
"""


def check_the_body_learns():
    assert ask("float(distance('body'))") > 0.5
    assert ask(GROUPS)[0] is True
    assert sum(ask("losses")[-16:]) / 16 < 0.4


def still_what_was_right():
    # The body stays as it was for two epochs, and every group follows the one schedule to its end.
    assert ask("[EPOCHS, FROZEN_EPOCHS, BATCHES, len(losses), len(body_moved)]") == [8, 2, 16, 128, 8]
    moved = ask("body_moved")
    assert moved[:2] == [0, 0] and 0 < moved[2] < moved[7]
    assert ask("float(distance('head'))") > 0.5
    _, groups, kind = ask(GROUPS)
    assert groups and all(abs(rate - 0.1 * 2e-2) < 1e-9 and decay == 0.01 for rate, decay in groups)
    assert kind is True and ask("tuple(x.shape)") == (256, 8)
    assert ask("sorted(start)") == ["body.0.bias", "body.0.weight", "head.bias", "head.weight"]
