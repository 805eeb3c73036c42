# Stands for the frozen tests with sha256 bc30496564b5f4450ef43527696a35c6d9547e62e4dfc9cc3d0bfd034865a4a4
from examiner import ask

WATCHED = """
modes = []  # of every dropout layer that ran: with gradients, in training mode
hook = torch.nn.modules.module.register_module_forward_hook(
    lambda module, inputs, output: modes.append((torch.is_grad_enabled(), module.training))
    if isinstance(module, torch.nn.Dropout) and module.p == 0.5
    else None
)
train(0.5)
hook.remove()
[training for gradients, training in modes if gradients]
"""
EVALUATED = """
evaluated = []
hook = torch.nn.modules.module.register_module_forward_hook(
    lambda module, inputs, output: evaluated.append(module.training) if isinstance(module, torch.nn.Dropout) else None
)
network = Net(0.5).train()
first, second = evaluate(network), evaluate(network)
hook.remove()
[evaluated, first, second]
"""
COUNTED = """
counts = []
hook = torch.nn.modules.module.register_module_forward_hook(
    lambda module, inputs, output: counts.append((len(inputs[0]), module.training)) if isinstance(module, Net) else None
)
trained, its_losses, its_evaluations = train(0.5)
hook.remove()
[counts, its_losses, its_evaluations, all(parameter.requires_grad for parameter in trained.parameters())]
"""


def check_training_is_in_training_mode():
    assert ask(WATCHED) == [True] * 40


def still_what_was_right():
    assert ask("[EPOCHS, STEPS_PER_EPOCH, EVALUATE_EVERY]") == [4, 10, 4]
    losses, evaluations = ask("[losses, evaluations]")
    assert len(losses) == 40 and len(evaluations) == 10
    evaluated, first, second = ask(EVALUATED)
    assert evaluated == [False, False] and first == second and type(first) is float
    counts, its_losses, its_evaluations, learns = ask(COUNTED)
    sizes = [size for size, _ in counts]
    assert sizes.count(4) == 40 and sizes.count(200) == 10
    assert not any(training for size, training in counts if size == 200)
    assert its_losses == losses and its_evaluations == evaluations, "a run is not repeatable"
    assert learns is True
    # Without dropout the mode changes nothing: these are the losses of the script as it was.
    assert abs(ask("train(0.0)[1][-1]") - 0.0966) < 1e-2
