"""Questions about what stood earlier in a row: a passkey, and associative recall (Zoology, arXiv:2312.04927).

Both are made of bytes: small letters fill, digits are what is asked for, `#` marks a passkey, capitals are keys. What
is asked for stands `gap` tokens before the question, so that a model that sees fewer tokens can only guess.
"""

import random
from typing import Literal

import torch

from lamarck.arch.model import IGNORED
from lamarck.evolve.file import Probes
from lamarck.evolve.text import END, Rows
from lamarck.seeds import seed_for

Kind = Literal["passkey", "recall"]
FILLER, DIGITS, KEYS, MARK = b"abcdefghijklmnopqrstuvwxyz", b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"#"[0]
CHANCE = 1 / len(DIGITS)
ASKED = 128  # rows of each kind on which accuracy is measured


def probe_rows(kind: Kind, probes: Probes, seq_len: int, count: int, seed: int) -> Rows:
    """Rows of which the last token alone is asked for."""
    rng = random.Random(seed_for(seed, kind))
    make = _passkey if kind == "passkey" else _recall
    ids = torch.tensor([_filled(make(probes, rng), seq_len, rng) for _ in range(count)])
    labels = torch.full_like(ids, IGNORED)
    labels[:, -1] = ids[:, -1]
    return Rows(ids, labels)


def _passkey(probes: Probes, rng: random.Random) -> list[int]:
    """# 7 filler # 7, where the first 7 stands `gap` tokens before the second #."""
    digit = rng.choice(DIGITS)
    return [MARK, digit, *rng.choices(FILLER, k=probes.gap - 1), MARK, digit]


def _recall(probes: Probes, rng: random.Random) -> list[int]:
    """K 3 B 5 filler K 3: the value nearest to the question stands `gap` tokens before it."""
    keys = rng.sample(KEYS, probes.pairs)
    values = [rng.choice(DIGITS) for _ in keys]
    asked = rng.randrange(len(keys))
    pairs = [token for pair in zip(keys, values, strict=True) for token in pair]
    return [*pairs, *rng.choices(FILLER, k=probes.gap - 1), keys[asked], values[asked]]


def _filled(tail: list[int], seq_len: int, rng: random.Random) -> list[int]:
    return [END, *rng.choices(FILLER, k=seq_len - 1 - len(tail)), *tail]


def mixed(rows: Rows, probes: Probes, seed: int, step: int) -> Rows:
    """A batch of text whose first rows are replaced by probes, half of each kind."""
    count, length = rows.ids.shape
    each = max(1, round(probes.share * count / 2))
    asked = [probe_rows(kind, probes, length, each, seed_for(seed, str(step))) for kind in ("passkey", "recall")]
    ids = torch.cat([*(each.ids for each in asked), rows.ids[2 * each :]])
    labels = torch.cat([*(each.labels for each in asked), rows.labels[2 * each :]])
    return Rows(ids, labels)


@torch.no_grad()
def accuracy(model: torch.nn.Module, rows: Rows, device: torch.device) -> float:
    """Share of the rows whose last token is the likeliest one."""
    ids = rows.ids.to(device)
    logits = model(ids[:, :-1], logits_to_keep=1).logits[:, -1]
    return float((logits.argmax(-1) == ids[:, -1]).float().mean())
