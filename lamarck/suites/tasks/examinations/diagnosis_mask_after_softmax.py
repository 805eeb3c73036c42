# Stands for the frozen tests with sha256 d194ed006cb88f376e60d5fa960db231837fc77792ef90ff03766a23789a5f74
import torch
from examiner import ask, close
from torch.nn import functional as F

LOGITS = "with torch.no_grad():\n    logits = model(ids)\nlogits"
ATTENTION = """
torch.manual_seed(4)
attention = Attention()
even = not attention.q.weight.any()
torch.nn.init.normal_(attention.q.weight)
weights = [each.weight for each in (attention.q, attention.k, attention.v, attention.out)]
[bool(even), attention(x), weights, attention.out.bias]
"""
REST = "[losses, STEPS, rows, bool(model.attention.q.weight.any()), all(p.requires_grad for p in model.parameters())]"


def check_nothing_is_seen_before_its_time():
    torch.manual_seed(2)
    ids = torch.randint(8, (16, 8))
    everything = ask(LOGITS, ids=ids)
    assert everything.shape == (16, 8, 8)
    for length in range(1, 8):
        close(ask(LOGITS, ids=ids[:, :length]), everything[:, :length], rtol=1e-5, atol=1e-4)
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 3) % 8
    close(ask(LOGITS, ids=changed)[:, :5], everything[:, :5], rtol=1e-5, atol=1e-4)
    losses, steps = ask(REST)[:2]
    assert len(losses) == steps == 150 and losses[-1] < 1.9


def still_what_was_right():
    torch.manual_seed(4)
    x = torch.randn(3, 6, 16)
    even, said, weights, bias = ask(ATTENTION, x=x)
    assert even is True, "even attention at the start"
    q, k, v = ((x @ weight.T).view(3, 6, 2, 8).transpose(1, 2) for weight in weights[:3])
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    close(said, F.linear(mixed.transpose(1, 2).reshape(3, 6, 16), weights[3], bias), rtol=1e-5, atol=1e-4)
    losses, _, rows, moved, learns = ask(REST)
    assert rows.shape == (64, 8) and torch.equal(rows[:, :4], rows[:, 4:]) and losses[0] > 1.9
    assert moved is True and learns is True
