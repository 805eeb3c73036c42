# Stands for the frozen tests with sha256 d4bb213bbf214149df91575cab7d144d45d497f24ceaca26cc0d2270decba08f
import torch
from examiner import ask, close, equal

WANTED = torch.tensor([0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4])
BASE = """
trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
frozen = [str(p.dtype) for p in model[0].layer.parameters() if not p.requires_grad]
moving = [name for name, p in model[0].layer.named_parameters() if p.requires_grad]
kind = isinstance(optimizer, torch.optim.Adam), [group["lr"] for group in optimizer.param_groups]
[len(losses), STEPS, LEARNING_RATE, kind, frozen, moving, trained, str(model(x).dtype)]
"""
DATA = "x, wanted, y, model[0].layer.weight, model[0].layer.bias"
FRESH = "fresh = Scaled(torch.nn.Linear(16, 8))\n[fresh.scale.tolist(), fresh(x), fresh.layer.weight, fresh.layer.bias]"


def check_the_scales_arrive():
    scales = ask("model[0].scale.detach().float()")
    assert scales.shape == (8,) and (scales - WANTED).abs().max() < 0.03
    first, last = ask("[losses[0], losses[-1]]")
    assert 0 <= last < 0.02 * first


def still_what_was_right():
    steps, planned, rate, kind, frozen, moving, trained, out = ask(BASE)
    assert steps == planned == 1000 and rate == 1e-3 and kind == (True, [1e-3])
    assert frozen == ["torch.bfloat16"] * 2 and moving == [] and trained == 8 and out == "torch.bfloat16"
    x, wanted, y, weight, bias = ask(DATA)
    assert x.dtype == torch.bfloat16 and x.shape == (128, 16)
    equal(wanted, WANTED)
    close(y, torch.nn.functional.linear(x, weight, bias).float() * WANTED, rtol=1e-5, atol=1e-8)
    scale, result, weight, bias = ask(FRESH)
    assert scale == [1.0] * 8
    equal(result, torch.nn.functional.linear(x, weight, bias))
