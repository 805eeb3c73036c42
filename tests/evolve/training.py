"""A plain loop for the tests."""

from collections.abc import Callable

import torch

from lamarck.arch.model import GenomeForCausalLM
from lamarck.evolve.text import Rows


def taught(model: GenomeForCausalLM, rows: Callable[[int], Rows], steps: int, rate: float = 5e-3) -> GenomeForCausalLM:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    for step in range(steps):
        batch = rows(step)
        loss = model(batch.ids, labels=batch.labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()
