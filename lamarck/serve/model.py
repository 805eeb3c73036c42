"""Which generations may be served: those that a human approved and whose bytes are what their records say. Light."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamarck.config import Config
from lamarck.config.engine import HFEngineConfig
from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.gate.check import check_trained
from lamarck.lineage.artifacts import WEIGHTS, found_kind
from lamarck.lineage.digest import generation_digest, served_name, training_digest
from lamarck.lineage.freshness import hold
from lamarck.lineage.generation import TRAINING_RECORD, Generation

if TYPE_CHECKING:
    from lamarck.engine.hf import HFEngine


@dataclass(frozen=True)
class Servable:
    """A checked generation: its name for clients, and the files that it is."""

    name: str
    weights: Path
    change: Path | None


def servable(generation: Generation) -> Servable:
    """Errors: LamarckError where `generation` is not finished, not approved, or not what its records say."""
    if generation.number and not (generation.change / TRAINING_RECORD).exists():
        raise LamarckError(f"{generation.name} is not trained yet: `lamarck status` says what it waits for")
    if generation.number and not generation.plan.exists():
        raise LamarckError(f"{generation.plan} is not there: bring it with `git checkout`, or run `snakemake`")
    hold(WEIGHTS, generation.founder, {})
    if generation.number:
        _check_child(generation)
    change = generation.change if generation.number else None
    return Servable(served_name(generation, generation_digest(generation)), generation.weights, change)


def _check_child(generation: Generation) -> None:
    """The child is what was made, on this founder and these ancestors, in the run that a human allowed."""
    made_from = {"parent": generation_digest(generation.parent), "plan": training_digest(read_regular(generation.plan))}
    hold(found_kind(generation), generation, made_from)
    # An approval that has expired since allows no new run, but what it allowed then is there.
    check_trained(generation)


def load(model: Servable, config: Config) -> "HFEngine":
    """The model on this machine, with the batch size and type that the configuration gives engines of that kind."""
    prepare_libraries(config.engine.threads)
    import torch  # seconds

    from lamarck.engine.hf import HFEngine

    torch.set_num_threads(config.engine.threads)
    here = config.engine if isinstance(config.engine, HFEngineConfig) else HFEngineConfig()
    return HFEngine(here, model.weights, model.change)
