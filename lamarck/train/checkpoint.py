"""What a killed run needs to go on exactly: what is trained, optimizer, random state, and its log.

Only this checkout's own are loaded (`lamarck.seal`): the child would be whatever another one holds.
"""

import io
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.seal import is_sealed, key_of, seal
from lamarck.train.log import Row
from lamarck.train.team import Team


@dataclass
class Progress:
    """How far a run is, and its log so far.

    `device_seconds` are those of the steps that it consists of. `spent`, those of all attempts, lost steps included,
    `attempts`, their number, and `optimizer_bytes`, those of the optimizer's state, are known when the run ends.
    `resumed`: how often it went on from a checkpoint.
    """

    step: int = 0
    tokens: int = 0
    device_seconds: float = 0.0
    resumed: int = 0
    spent: float = 0.0
    attempts: int = 1
    optimizer_bytes: int = 0
    log: list[Row] = field(default_factory=list)


SEAL_BYTES = 64  # before the state, in hexadecimal


def save_checkpoint(
    path: Path, run: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, team: Team
) -> None:
    """Replace the checkpoint at once: a kill leaves the last one or this one. Every process calls this, one writes."""
    # Dropout draws there: on a GPU from the second.
    random = team.gather((torch.get_rng_state(), _cuda_random(team.device)))
    if not team.leads:
        return
    state = {
        "run": run,
        "trained": {name: value.detach() for name, value in model.named_parameters() if value.requires_grad},
        "optimizer": optimizer.state_dict(),
        "random": random,
        "progress": asdict(progress),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save(state, content)
    sealed = seal(key_of(path.parent), content.getbuffer())
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(sealed.encode())
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise LamarckError(f"cannot write the checkpoint {path}: {error}; the one before it is kept") from error
    finally:
        partial.unlink(missing_ok=True)


def _cuda_random(device: torch.device) -> torch.Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def resume(path: Path, run: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer, team: Team) -> Progress:
    """Load the checkpoint of `run` into model and optimizer; one of another run (other data, recipe, machine) is
    ignored. It is read once: the bytes that are checked are those that are loaded.

    Errors: LamarckError where this checkout did not make it.
    """
    if not path.exists():
        return Progress()
    state = read_checkpoint(path)
    if state["run"] != run:
        return Progress()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for name, value in trained.items():
            value.copy_(state["trained"][name])
    optimizer.load_state_dict(state["optimizer"])
    random, cuda_random = state["random"][team.rank]
    torch.set_rng_state(random)
    if cuda_random is not None and team.device.type == "cuda":
        torch.cuda.set_rng_state(cuda_random, team.device)
    log = [Row(**row) for row in state["progress"].pop("log")]
    progress = Progress(**state["progress"], log=log)
    progress.resumed += 1
    return progress


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote. Errors: LamarckError where it is damaged, or not this checkout's."""
    content = memoryview(read_regular(path))
    said, state = bytes(content[:SEAL_BYTES]).decode(errors="replace"), content[SEAL_BYTES:]
    if not is_sealed(said, key_of(path.parent), state):
        raise LamarckError(
            f"the checkpoint {path} is damaged, or was not made by this checkout: delete it, and the run starts anew"
        )
    loaded: dict[str, Any] = torch.load(io.BytesIO(state), weights_only=True)
    return loaded
