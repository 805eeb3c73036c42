"""The static rung: what a genome would cost, before it is built. Nothing is trained here. Light."""

import os
from functools import cache

from lamarck.arch.costs import cost
from lamarck.arch.genome import Genome
from lamarck.budget.machine import load_catalogue
from lamarck.config import HERE, StageMachine
from lamarck.evolve.file import GenomeLimits

TRAINING_BYTES = 16  # a parameter: itself, its gradient and two moments, in 32 bits
KEPT = 12  # tensors of (rows, tokens, width) that a branch keeps for its gradient, about


def training_bytes(genome: Genome) -> int:
    """Memory of training it, about: weights, gradients, moments, and what a batch keeps."""
    model, rows, tokens = genome.model, genome.data.batch_size, genome.data.seq_len
    kept = 3 * model.emb.vocab
    for place, block in enumerate(model.blocks):
        heads = block.attn.heads if block.attn is not None and block.attn.kind != "LINEAR" else 0
        hidden = 0
        if block.ffn is not None:
            used = block.ffn.n_experts + block.ffn.shared if block.ffn.type == "moe" else 1
            hidden = block.ffn.hidden * used
        states = block.ssm.d_inner * block.ssm.d_state if block.ssm is not None else 0
        each = KEPT * model.emb.dim * len(block.branches) + 3 * hidden + heads * tokens + states
        kept += model.passes(place) * each
    return TRAINING_BYTES * cost(genome, 1).parameters + 4 * rows * tokens * kept


@cache
def memory_of(kind: str) -> int:
    """Bytes of a kind of GPU, or of this machine. Errors: LamarckError for a kind that is not known."""
    gpu = None if kind == HERE else load_catalogue().gpu(kind)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if gpu is None else gpu.memory


def why_too_large(genome: Genome, limits: GenomeLimits, machine: StageMachine) -> str | None:
    """One phrase; None where it fits, and the memory of `machine`, a GPU's where it names one, as well.

    Errors: LamarckError for a kind of GPU that config/machines.yaml does not know.
    """
    parameters = cost(genome, 1).parameters
    if parameters > limits.parameters:
        return f"it has {parameters:,} parameters, and limits.parameters allows {limits.parameters:,}"
    needed = training_bytes(genome)
    if needed > limits.memory_mb * 1e6:
        return f"its training takes about {needed / 1e6:,.0f} MB, and limits.memory_mb allows {limits.memory_mb:,g}"
    where, there = "this machine" if machine.gpu == HERE else machine.gpu, memory_of(machine.gpu)
    if needed > there:
        return (
            f"its training takes about {needed / 1e9:,.1f} GB, and {where} has {there / 1e9:,.1f}: take "
            "a larger one, or a smaller data.batch_size"
        )
    return None
