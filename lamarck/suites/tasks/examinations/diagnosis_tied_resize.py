# Stands for the frozen tests with sha256 bbe26a32fafc72e6a4b8b005cba936d0e143f043878843db1aab75552f5dfc75
import torch
from examiner import ask, close, equal

GROWN = """
torch.manual_seed(5)
other = LM(6)
tied = [other.head.weight is other.embed.weight]
before = other(torch.arange(6)).detach()
old_rows = other.embed.weight.detach().clone()
add_tokens(other, 3)
after = other(torch.arange(9)).detach()
new_rows = other.embed.weight.detach().clone()
for each in (other, model):
    tied.append(each.head.weight is each.embed.weight)
sizes = [[each.embed.num_embeddings, sum(p.numel() for p in each.parameters())] for each in (other, model)]
add_tokens(other, 1)
tied, before, old_rows, after, new_rows, sizes, tuple(other(torch.arange(10)).shape)
"""
TOOL_USE = [[3, 10, 4, 5, 11, 6], [7, 10, 8, 9, 11, 0]]


def check_the_new_tokens_are_learned():
    assert ask("tuple(model(torch.arange(12)).shape)") == (12, 12)
    said = ask("model(tool_use[:, :-1]).argmax(-1).tolist()")
    assert len(said) == 2 and said[0][0] == said[1][0] == 10 and said[0][3] == said[1][3] == 11


def still_what_was_right():
    tied, before, old_rows, after, new_rows, sizes, grown = ask(GROWN)
    assert tied == [True] * 3 and after.shape == (9, 9) and before.shape == (6, 6)
    close(after[:6, :6], before, rtol=1e-5, atol=1e-6)
    equal(new_rows[:6], old_rows)
    # Still tied: one weight, trained from both sides.
    assert sizes == [[9, 9 * 8 + 72], [12, 12 * 8 + 72]] and grown == (10, 10)
    first, last = ask("[fit(LM(10), pretraining, 1), fit(LM(10), pretraining, 200)]")
    assert 0 <= last < 0.3 * first
    assert ask("tool_use.tolist()") == TOOL_USE
    new, old = ask("[new_logits[:, :10], old_logits]")
    assert isinstance(new, torch.Tensor) and new.shape == (10, 10)
    close(new, old, rtol=1e-5, atol=1e-6)
