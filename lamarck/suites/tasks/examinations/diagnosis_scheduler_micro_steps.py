# Stands for the frozen tests with sha256 6a2b8a54c39119c5265b2359fee9ad6c9c473aad96752664b93c156a4f836c1a
from examiner import ask

REST = """
rate = optimizer.param_groups[0]["lr"]
[ACCUMULATION, EPOCHS, WARMUP, PEAK, total_steps, len(micro_batches), rate, len(losses)]
"""
IDLE = "all(p.grad is None or not p.grad.any() for p in model.parameters())"


def check_the_rate_lasts():
    rates, losses = ask("[rates, losses]")
    assert len(rates) == 24 and all(rate > 0 for rate in rates) and sum(rates) > 1.0
    assert losses[-1] < 0.2


def still_what_was_right():
    rates, losses = ask("[rates, losses]")
    wanted = [(step + 1) / 4 if step < 4 else (24 - step) / 20 for step in range(24)]
    assert all(abs(rate - 0.1 * share) < 1e-9 for rate, share in zip(rates, wanted, strict=True))
    assert ask(REST) == [4, 3, 4, 0.1, 24, 32, 0, 24]
    assert ask("[factor(step) for step in (0, 3, 4, 14, 24, 30)]") == [0.25, 1.0, 1.0, 0.5, 0.0, 0.0]
    # Nothing but the rate has changed: the first step is taken at another rate, but sees the same loss.
    assert abs(losses[0] - (ask("y")[:8] ** 2).mean().item()) < 1e-3
    assert ask(IDLE) is True
