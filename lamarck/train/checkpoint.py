"""What a killed run needs to go on exactly: what is trained, optimizer, random state, and its log.

They lie in a chain of full states and differences (lamarck/train/chain.py). Only this checkout's own are loaded
(`lamarck.seal`): the child would be whatever another one holds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from lamarck.errors import LamarckError
from lamarck.files import canonical_json
from lamarck.seal import is_sealed, key_of, seal
from lamarck.train.chain import Chain, Checkpoint, read_chain
from lamarck.train.log import StepRow
from lamarck.train.team import Team


@dataclass
class Progress:
    """How far a run is, and its log so far.

    `device_seconds` are those of the steps that it consists of; `spent`, those of all attempts, lost steps included.
    `attempts`, their number, and `optimizer_bytes`, those of the optimizer's state, are known when the run ends.
    `resumed`: how often it went on from a checkpoint. `taken_in`: those of other checkouts' among them.
    """

    step: int = 0
    tokens: int = 0
    device_seconds: float = 0.0
    resumed: int = 0
    spent: float = 0.0
    attempts: int = 1
    optimizer_bytes: int = 0
    log: list[StepRow] = field(default_factory=list)
    taken_in: list[dict[str, Any]] = field(default_factory=list)


class Checkpoints:
    """Those of one run, in `directory`: every process of its team opens them, the one that leads writes.

    `run` names everything that decides the result: what another run (other data, recipe, machine) left is deleted.
    Errors: LamarckError where what lies there is damaged, or this checkout did not make it.
    """

    def __init__(self, directory: Path, run: str, team: Team) -> None:
        self.directory, self.run, self.team = directory, run, team
        self._chain = Chain(directory) if team.leads else None
        if self._chain and (latest := self._chain.latest):
            try:
                check_own(directory, latest)
            except BaseException:
                self._chain.close()
                raise
            if latest.notes["run"] != run:
                self._chain.begin_anew()
        team.gather(None)  # the others read when it is checked and swept

    def resume(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Load the last one into model and optimizer; the beginning where there is none."""
        latest = self._chain.latest if self._chain else read_chain(self.directory)
        if latest is None:
            return Progress()
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        with torch.no_grad():
            for name, value in trained.items():
                value.copy_(latest.tensors[f"trained/{name}"])
        _load_optimizer(optimizer, latest.tensors)
        torch.set_rng_state(latest.tensors[f"random/{self.team.rank}"])
        on_gpu = latest.tensors.get(f"random/{self.team.rank}/cuda")
        if on_gpu is not None and self.team.device.type == "cuda":
            torch.cuda.set_rng_state(on_gpu, self.team.device)
        progress = progress_of(latest)
        progress.resumed += 1
        return progress

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """A kill leaves the last one or this one. Every process calls this. Errors: LamarckError where it cannot be
        written; the one before it is kept."""
        # Dropout draws there: on a GPU from the second.
        random = self.team.gather((torch.get_rng_state(), _cuda_random(self.team.device)))
        if self._chain is None:
            return
        tensors = {f"trained/{name}": value for name, value in model.named_parameters() if value.requires_grad}
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{key}": value for key, value in state.items()}
        for rank, (on_cpu, on_gpu) in enumerate(random):
            tensors[f"random/{rank}"] = on_cpu
            if on_gpu is not None:
                tensors[f"random/{rank}/cuda"] = on_gpu
        said = {"run": self.run, "progress": asdict(progress)}
        self._chain.write(progress.step, tensors, lambda digest: sealed_notes(self.directory, digest, said))

    def close(self) -> None:
        if self._chain:
            self._chain.close()


def sealed_notes(directory: Path, digest: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """`said` of the state with this digest, sealed for the checkpoint that lies in `directory`."""
    return {**said, "seal": seal(key_of(directory), _signed(digest, said))}


def check_own(directory: Path, checkpoint: Checkpoint) -> None:
    """Errors: LamarckError where this checkout did not make it."""
    said = {name: value for name, value in checkpoint.notes.items() if name != "seal"}
    if not is_sealed(checkpoint.notes.get("seal"), key_of(directory), _signed(checkpoint.digest, said)):
        raise LamarckError(
            f"the checkpoint {directory} was not made by this checkout: delete it, and the run starts anew; a copy of "
            "a machine that died is taken in by `lamarck resume`"
        )


def progress_of(checkpoint: Checkpoint) -> Progress:
    said = dict(checkpoint.notes["progress"])
    return Progress(**{**said, "log": [StepRow(**row) for row in said["log"]]})


def _signed(digest: str, said: Mapping[str, Any]) -> bytes:
    return canonical_json({"digest": digest, "said": dict(said)}).encode()


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Its groups are the recipe's, and so are as they were."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            number, _, key = rest.partition("/")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _cuda_random(device: torch.device) -> torch.Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None
