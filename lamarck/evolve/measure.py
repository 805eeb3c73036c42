"""The objectives of a candidate, measured on the model that was built and trained; none is counted from its genome."""

import statistics
import time
from collections.abc import Sequence

import torch

from lamarck.arch.model import IGNORED, GenomeForCausalLM
from lamarck.errors import LamarckError
from lamarck.evolve.file import EvolveFile
from lamarck.evolve.probes import ASKED, accuracy, probe_rows
from lamarck.evolve.scores import GenomeScores
from lamarck.evolve.text import Corpus, Rows, bits

TIMED = 5  # forward passes, of which the median counts
LOOKED_AT = 4  # blocks that are read on the way, to see when a target is reached
LOOKS = 8


@torch.no_grad()
def bits_per_byte(model: torch.nn.Module, blocks: Sequence[Rows], device: torch.device) -> tuple[float, ...]:
    """Of each block. Errors: LamarckError without blocks, or where one has nothing to predict: that is no score."""
    if not blocks:
        raise LamarckError("there is no held-out block to measure on: name more files in `text`")
    found = []
    for block in blocks:
        ids, labels = block.ids.to(device), block.labels.to(device)
        counted = int((labels[:, 1:] != IGNORED).sum())
        if not counted:
            raise LamarckError("a held-out block has no token to predict: name more files in `text`")
        nats = float(model(ids, labels=labels).loss) * counted
        found.append(bits(nats, block.bytes))
    return tuple(found)


@torch.no_grad()
def kept_bytes(model: GenomeForCausalLM, tokens: int, device: torch.device) -> int:
    """Of the weights, and of what is kept of one text of so many tokens to write the next."""
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    row = torch.zeros(1, tokens, dtype=torch.long, device=device)
    return weights + int(model(row, use_cache=True).past_key_values.bytes())


@torch.no_grad()
def throughput(model: torch.nn.Module, rows: Rows, device: torch.device) -> float:
    """Tokens a second of reading a batch, the median of several passes behind one that warms up."""
    ids = rows.ids.to(device)
    seconds = []
    for _ in range(TIMED + 1):
        started = time.perf_counter()
        model(ids)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return ids.numel() / statistics.median(seconds[1:])


def measure(
    model: GenomeForCausalLM,
    corpus: Corpus,
    file: EvolveFile,
    instability: float,
    tokens_to_target: int | None,
    device: torch.device,
) -> GenomeScores:
    """Errors: LamarckError where there is nothing to measure on."""
    probes, length = file.probes, file.data.seq_len
    asked = {
        kind: accuracy(model, probe_rows(kind, probes, length, ASKED, file.seed), device) if probes else None
        for kind in ("passkey", "recall")
    }
    return GenomeScores(
        blocks=tuple(round(each, 9) for each in bits_per_byte(model, corpus.blocks, device)),
        passkey=asked["passkey"],
        recall=asked["recall"],
        memory=kept_bytes(model, length, device),
        parameters=sum(each.numel() for each in model.parameters()),
        tokens_to_target=tokens_to_target,
        instability=round(instability, 9),
    )
