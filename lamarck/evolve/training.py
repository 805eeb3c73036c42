"""The training of one candidate: so many tokens of the text, or fewer where it comes to nothing or its ceiling ends it.

A short training is the beginning of a full one: its weights and the optimizer's moments are kept, and the full one goes
on from them. The same seed, machine and number of threads give the same bytes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lamarck.arch.genome import Genome
from lamarck.arch.model import GenomeForCausalLM
from lamarck.errors import LamarckError
from lamarck.evolve.file import Probes
from lamarck.evolve.probes import mixed
from lamarck.evolve.text import Corpus
from lamarck.gate.allowance import Allowance
from lamarck.seeds import seed_for

BETAS = (0.9, 0.95)
DECAY_SHARE = 0.2  # of a full training, at the end
LEAST_RATE = 0.1
SMOOTHING = 0.9
DIVERGED = 1.5  # times the loss of uniform guesses: no model that learns is there
MOMENTS = "moments.safetensors"


class CeilingSpent(LamarckError):
    """The device-seconds that were approved are spent: what is half trained counts for nothing."""


@dataclass(frozen=True)
class Schedule:
    """`total`: tokens of the whole training, over which the rate rises and falls. `until`: where this part ends."""

    total: int
    until: int
    batch_tokens: int

    @property
    def steps(self) -> int:
        return max(1, self.until // self.batch_tokens)

    @property
    def all_steps(self) -> int:
        return max(1, self.total // self.batch_tokens)


@dataclass
class Trained:
    """What a training came to. `stopped`: why; "tokens" where it has read all of them."""

    stopped: str = "tokens"
    steps: int = 0
    instability: float = 0.0  # largest gradient norm before clipping
    seconds: float = 0.0
    moments: dict[str, torch.Tensor] = field(default_factory=dict)


Look = Callable[[int, float], None]  # step, seconds so far


def train(
    model: GenomeForCausalLM,
    corpus: Corpus,
    probes: Probes | None,
    schedule: Schedule,
    begun: int,
    moments: dict[str, torch.Tensor],
    seed: int,
    allowance: Allowance,
    look: Look,
) -> Trained:
    """Train `model` in place, from step `begun` on, with AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Errors: CeilingSpent, and LamarckError where what is spent cannot be written down.
    """
    gene = model.genome.train
    device = next(model.parameters()).device
    named = {name: each for name, each in model.named_parameters() if each.requires_grad}
    optimizer = torch.optim.AdamW(_groups(named, gene.weight_decay), lr=gene.lr, betas=BETAS)
    _restore(optimizer, named, moments)
    found = Trained(steps=begun)
    worst = DIVERGED * math.log(corpus.vocab)
    smooth: float | None = None
    model.train()
    with allowance.spending(1, True) as spending:
        started = time.perf_counter()
        for step in range(begun, schedule.steps):
            if spending.spent() >= allowance.device_seconds:
                raise CeilingSpent(f"the {allowance.device_seconds:g} device-seconds approved are spent")
            rows = corpus.batch(seed, step)
            rows = mixed(rows, probes, seed_for(seed, "probes"), step) if probes else rows
            for group in optimizer.param_groups:
                group["lr"] = gene.lr * rate(step, schedule.all_steps, gene.warmup)
            loss = model(rows.ids.to(device), labels=rows.labels.to(device)).loss
            optimizer.zero_grad()
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(named.values(), gene.clip))
            value = float(loss.detach())
            if not (math.isfinite(value) and math.isfinite(norm)):
                found.stopped = f"the {'gradient' if math.isfinite(value) else 'loss'} is not a number"
                break
            found.instability = max(found.instability, norm)
            smooth = value if smooth is None else SMOOTHING * smooth + (1 - SMOOTHING) * value
            if smooth > worst and step - begun >= gene.warmup:
                found.stopped = f"the loss diverged to {smooth:.3g}"
                break
            optimizer.step()
            found.steps = step + 1
            look(found.steps, time.perf_counter() - started)
        found.seconds = time.perf_counter() - started
    model.eval()
    found.moments = _moments(optimizer, named)
    return found


def rate(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate: linear warm-up, a plateau, a linear fall to a tenth at the end of a full training."""
    warm = (step + 1) / warmup if warmup else 1.0
    fall = max(1, round(DECAY_SHARE * steps))
    left = min(1.0, (steps - step) / fall)
    return min(1.0, warm) * (LEAST_RATE + (1 - LEAST_RATE) * left)


def _groups(named: dict[str, torch.nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; gains, scales and other vectors do not."""
    matrices = [each for each in named.values() if each.dim() > 1]
    rest = [each for each in named.values() if each.dim() <= 1]
    groups: list[dict[str, object]] = [{"params": matrices, "weight_decay": weight_decay}]
    return [*groups, {"params": rest, "weight_decay": 0.0}] if rest else groups


def _moments(optimizer: torch.optim.AdamW, named: dict[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{kind}": tensor.detach().cpu().contiguous()
        for name, each in named.items()
        for kind, tensor in optimizer.state.get(each, {}).items()
    }


def _restore(
    optimizer: torch.optim.AdamW, named: dict[str, torch.nn.Parameter], moments: dict[str, torch.Tensor]
) -> None:
    for key, tensor in moments.items():
        name, _, kind = key.rpartition("/")
        each = named[name]
        # The count of steps stays on the CPU, where the optimizer itself keeps it.
        optimizer.state[each][kind] = tensor if kind == "step" else tensor.to(each.device)


def write_moments(directory: Path, moments: dict[str, torch.Tensor]) -> None:
    save_file(moments, directory / MOMENTS)


def read_moments(directory: Path) -> dict[str, torch.Tensor]:
    moments: dict[str, torch.Tensor] = load_file(directory / MOMENTS)
    return moments


def tokens_of(genome: Genome) -> int:
    """Of one step."""
    return genome.data.batch_size * genome.data.seq_len
