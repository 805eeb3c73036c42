"""Which generations may be served: those that a human approved and whose bytes are what their records say. Light."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamarck.config import Config, HFEngineConfig
from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError
from lamarck.files import digest_file
from lamarck.gate.check import check_answer
from lamarck.gate.plan import read_plan
from lamarck.lineage import (
    ADAPTER_RECORD,
    WEIGHTS_RECORD,
    Generation,
    Record,
    adapter_digest,
    generation_digest,
    read_record,
    served_name,
    weights_digest,
)

if TYPE_CHECKING:
    from lamarck.engine.hf import HFEngine


@dataclass(frozen=True)
class Servable:
    """A checked generation: its name for clients, and the files that it is."""

    name: str
    weights: Path
    adapter: Path | None


def servable(generation: Generation) -> Servable:
    """Errors: LamarckError where `generation` is not finished, not approved, or not what its records say."""
    if generation.number and not (generation.adapter / ADAPTER_RECORD).exists():
        raise LamarckError(f"{generation.name} is not trained yet: `lamarck status` says what it waits for")
    if generation.number and not generation.plan.exists():
        raise LamarckError(f"{generation.plan} is not there: bring it with `git checkout`, or run `snakemake`")
    if not (generation.weights / WEIGHTS_RECORD).exists():
        raise LamarckError(f"{generation.weights} is not there: make it with `snakemake`, or `dvc pull` it")
    _check_bytes(generation.weights, WEIGHTS_RECORD, weights_digest(generation.weights))
    if generation.number:
        _check_child(generation)
    adapter = generation.adapter if generation.number else None
    return Servable(served_name(generation, generation_digest(generation)), generation.weights, adapter)


def _check_child(generation: Generation) -> None:
    """The adapter is what was made, on this founder and these ancestors, in the run that a human allowed."""
    record = _check_bytes(generation.adapter, ADAPTER_RECORD, adapter_digest(generation.adapter))
    now = {"parent": generation_digest(generation.parent), "plan": digest_file(generation.plan)}
    for part, digest in now.items():
        if record.inputs.get(part) != digest:
            raise LamarckError(
                f"{generation.adapter} was trained with another {part} than the present one: `lamarck status` says more"
            )
    # An approval that has expired since allows no new run, but what it allowed then is there.
    check_answer(generation.planned_by.name, read_plan(generation.plan), generation.approval)


def _check_bytes(directory: Path, name: str, digest: str) -> Record:
    record = read_record(directory / name)
    if record.digest != digest:
        raise LamarckError(
            f"{directory} is not what its record says: restore it with `dvc checkout`, or let `snakemake` make it again"
        )
    return record


def load(model: Servable, config: Config) -> "HFEngine":
    """The model on this machine, with the batch size and type that the configuration gives engines of that kind."""
    prepare_libraries(config.engine.threads)
    import torch  # seconds

    from lamarck.engine.hf import HFEngine

    torch.set_num_threads(config.engine.threads)
    here = config.engine if isinstance(config.engine, HFEngineConfig) else HFEngineConfig()
    return HFEngine(here, model.weights, model.adapter)
