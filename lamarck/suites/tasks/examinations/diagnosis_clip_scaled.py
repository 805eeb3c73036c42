# Stands for the frozen tests with sha256 66e5f6aa112918d9a83d0d0bad99fea833a4abeb864a53d39239fd6ef5c00256
from examiner import ask

WATCHED = """
from torch.optim.optimizer import register_optimizer_step_pre_hook

backward, applied, stepped = [], [], []
network = torch.nn.Linear(10, 1)
with torch.no_grad():
    network.weight.zero_()
    network.bias.zero_()
network.register_full_backward_hook(lambda module, inputs, outputs: backward.append(outputs[0].abs().max().item()))


def watch(optimizer, args, kwargs):
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    applied.append(torch.stack([p.grad.norm() for p in parameters]).norm().item())
    stepped.append(optimizer.param_groups[0]["lr"])


handle = register_optimizer_step_pre_hook(watch)
again = train(network, 40)
handle.remove()
[len(again), backward, applied, stepped]
"""


def check_it_learns():
    losses, steps = ask("[losses, STEPS]")
    assert len(losses) == steps == 200
    assert all(losses[step] < 0.05 * losses[1] for step in (161, 193))


def still_what_was_right():
    # Gradients are scaled in the backward pass, and none that the optimizer applies is longer than the limit.
    again, backward, applied, stepped = ask(WATCHED)
    assert again == len(applied) == len(backward) == 40 and stepped == [0.05] * 40
    assert max(backward) > 100 and all(norm < 1.001 for norm in applied)
    assert abs(applied[0] - 1) < 0.01 and abs(applied[1] - 1) < 0.01
    assert ask("[MAX_NORM, LEARNING_RATE, tuple(x.shape)]") == [1.0, 0.05, (64, 10)]
    assert ask("x[7].norm().item()") > 20
