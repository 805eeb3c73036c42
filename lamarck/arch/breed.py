"""Children with weights: a chain of operators, or a crossing, applied to trained parents; and the record of it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict

from lamarck.arch.crossover import cross
from lamarck.arch.inherit import Heir, ancestor, inherit
from lamarck.arch.model import GenomeForCausalLM
from lamarck.arch.operators import Step
from lamarck.errors import LamarckError
from lamarck.seeds import seed_for


class Descent(BaseModel):
    """How a child came about. Losses are nats per token on the same tokens, before any training of the child."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    genome: str  # digest of the child's
    parents: tuple[str, ...]  # digests of their genomes
    operators: tuple[str, ...]  # in the order in which they were applied
    exact: bool  # every step leaves the function as it was
    inherited: float  # share of the child's parameters that come from a parent
    loss_before: float  # of the (first) parent
    loss_after: float  # of the child


@dataclass(frozen=True)
class Child:
    model: GenomeForCausalLM
    descent: Descent


def mutant(parent: GenomeForCausalLM, steps: Sequence[Step], probe: torch.Tensor, seed: int) -> Child:
    """The parent after a chain of operators; probe: (B, T) token ids on which the losses are measured.

    Errors: LamarckError when there is no step.
    """
    if not steps:
        raise LamarckError("a mutant needs at least one operator")
    heir = ancestor(parent)
    for place, step in enumerate(steps):
        heir = inherit([heir], step.genome, step.origins, seed_for(seed, "step", str(place)))
    return _child([parent], steps, heir, probe)


def crossing(
    first: GenomeForCausalLM, second: GenomeForCausalLM, rng: random.Random, probe: torch.Tensor, seed: int
) -> Child:
    """A child of two parents. Errors: LamarckError where they cannot cross."""
    step = cross(first.genome, second.genome, rng)
    heir = inherit([ancestor(first), ancestor(second)], step.genome, step.origins, seed_for(seed, "crossover"))
    return _child([first, second], [step], heir, probe)


def _child(parents: list[GenomeForCausalLM], steps: Sequence[Step], heir: Heir, probe: torch.Tensor) -> Child:
    descent = Descent(
        genome=heir.model.genome.digest(),
        parents=tuple(parent.genome.digest() for parent in parents),
        operators=tuple(step.operator for step in steps),
        exact=all(step.exact for step in steps),
        inherited=heir.share,
        loss_before=loss_on(parents[0], probe),
        loss_after=loss_on(heir.model, probe),
    )
    return Child(heir.model, descent)


@torch.no_grad()
def loss_on(model: GenomeForCausalLM, probe: torch.Tensor) -> float:
    """Nats per token of probe (B, T), as it is served: without the routers' losses."""
    training = model.training
    loss = model.eval()(probe, labels=probe).loss.item()
    model.train(training)
    return loss
