# Stands for the frozen tests with sha256 acf8499c24361b761782903c67ff6a846cd68cfd715b5797e963f8ac73be3aa7
import torch
from examiner import ask, close

METHOD = """
torch.manual_seed(5)
one, other = LM(), LM()
loss, margin = preference_loss(one, other, prompts, chosen, rejected)
with torch.no_grad():
    good, bad = ([log_likelihood(each, prompts, rows) for each in (one, other)] for rows in (chosen, rejected))
loss.backward()
learns = [all(p.grad is not None for p in one.parameters()), all(p.grad is None for p in other.parameters())]
loss, margin, good, bad, learns
"""
ALIGNED = """
import copy

from torch.optim.optimizer import register_optimizer_step_pre_hook

student = LM()
before, rates = copy.deepcopy(dict(student.state_dict())), []
handle = register_optimizer_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
kept, again, gaps = align(student, 30)
handle.remove()
with torch.no_grad():
    likely = [log_likelihood(each, prompts, chosen).mean().item() for each in (student, kept)]
before, dict(kept.state_dict()), dict(student.state_dict()), rates, len(again), gaps, likely
"""


def check_it_learns():
    losses, margins, steps = ask("[losses, margins, STEPS]")
    assert len(losses) == len(margins) == steps == 100
    assert losses[-1] < 0.35 and losses[-1] < losses[50] < losses[0]
    assert len(margins[-1]) == 8 and all(margin > 0.3 for margin in margins[-1])


def still_what_was_right():
    assert ask("[BETA, STEPS, LEARNING_RATE]") == [0.2, 100, 2e-3]
    shapes = ask("[tuple(each.shape) for each in (prompts, chosen, rejected)]")
    assert shapes == [(8, 3), (8, 4), (8, 4)]
    # The loss is that of the method, and its gradient is the policy's alone.
    loss, margin, good, bad, learns = ask(METHOD)
    wanted = 0.2 * ((good[0] - good[1]) - (bad[0] - bad[1]))
    assert wanted.shape == (8,) and wanted.abs().max() > 0.02
    close(margin, wanted, rtol=1e-5, atol=1e-5)
    close(loss, -torch.nn.functional.logsigmoid(wanted).mean().item(), atol=1e-5)
    assert learns == [True, True]
    # The reference is the policy as it was before the first step, and stays so; the policy itself learns.
    before, kept, student, rates, again, gaps, likely = ask(ALIGNED)
    assert before and set(before) == set(kept) == set(student)
    assert all(torch.equal(value, before[name]) for name, value in kept.items())
    assert not all(torch.equal(value, before[name]) for name, value in student.items())
    assert again == len(gaps) == 30 and rates == [2e-3] * 30
    assert len(gaps[0]) == len(gaps[1]) == 8
    assert all(abs(gap) < 1e-6 for gap in gaps[0]) and all(gap != 0 for gap in gaps[1])
    assert likely[0] > likely[1]
