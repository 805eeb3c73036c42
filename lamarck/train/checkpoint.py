"""What a killed run needs to go on exactly: adapter, optimizer, random state, and what has been spent."""

import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from peft import PeftModel

from lamarck.errors import LamarckError
from lamarck.train.log import Row
from lamarck.train.team import Team


@dataclass
class Progress:
    """How far a run is, and its log so far."""

    step: int = 0
    tokens: int = 0
    device_seconds: float = 0.0
    log: list[Row] = field(default_factory=list)


def save_checkpoint(
    path: Path, run: str, model: PeftModel, optimizer: torch.optim.Optimizer, progress: Progress, team: Team
) -> None:
    """Replace the checkpoint at once: a kill leaves the last one or this one. Every process calls this, one writes."""
    # Dropout draws there: on a GPU from the second.
    random = team.gather((torch.get_rng_state(), _cuda_random(team.device)))
    if not team.leads:
        return
    state = {
        "run": run,
        "adapter": {name: value.detach() for name, value in model.named_parameters() if value.requires_grad},
        "optimizer": optimizer.state_dict(),
        "random": random,
        "progress": asdict(progress),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        raise LamarckError(f"cannot write the checkpoint {path}: {error}; the one before it is kept") from error
    finally:
        partial.unlink(missing_ok=True)


def _cuda_random(device: torch.device) -> torch.Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def resume(path: Path, run: str, model: PeftModel, optimizer: torch.optim.Optimizer, team: Team) -> Progress:
    """Load the checkpoint of `run` into model and optimizer; one of another run (other data, recipe, machine) is
    ignored."""
    if not path.exists():
        return Progress()
    try:
        state = torch.load(path, weights_only=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise LamarckError(f"the checkpoint {path} is damaged: delete it, and the run starts anew") from error
    if state["run"] != run:
        return Progress()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for name, value in trained.items():
            value.copy_(state["adapter"][name])
    optimizer.load_state_dict(state["optimizer"])
    random, cuda_random = state["random"][team.rank]
    torch.set_rng_state(random)
    if cuda_random is not None and team.device.type == "cuda":
        torch.cuda.set_rng_state(cuda_random, team.device)
    log = [Row(**row) for row in state["progress"].pop("log")]
    return Progress(**state["progress"], log=log)
