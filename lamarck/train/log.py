"""The training log: a row every few steps, kept in the record and, where the configuration asks, in TensorBoard."""

import contextlib
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from lamarck.errors import LamarckError


@dataclass(frozen=True)
class StepRow:
    """One step: its loss in nats an answer token and its learning rate; speed since the row before, of all
    processes together, and the highest memory of one so far (`peak_memory`)."""

    step: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    memory_bytes: int


def peak_memory(device: torch.device) -> int:
    """Bytes: of the accelerator where there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts it in KiB


@contextlib.contextmanager
def metrics_shown(kind: Literal["none", "tensorboard"], directory: Path) -> Iterator[Callable[[StepRow], None]]:
    """What to call with every row of the log, those of a resumed run's checkpoint first.

    TensorBoard's events are written into `directory` anew: a run that goes on has all of its steps there, each once,
    also where the killed process had not written its last ones, or ran on another machine.
    Errors: LamarckError where tensorboard is asked for and not installed.
    """
    if kind == "none":
        yield lambda row: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LamarckError(
            "`metrics: tensorboard` needs the package tensorboard: pip install -r envs/tensorboard.txt, "
            "or set `metrics: none`"
        ) from error
    shutil.rmtree(directory, ignore_errors=True)
    with SummaryWriter(str(directory)) as writer:

        def show(row: StepRow) -> None:
            for name, value in asdict(row).items():
                if name != "step":
                    writer.add_scalar(name, value, row.step)

        yield show
