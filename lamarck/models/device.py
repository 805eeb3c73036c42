"""Where a step computes: on a GPU wherever the configuration plans one, and then nowhere else. Light."""

from typing import TYPE_CHECKING

from lamarck.config import HERE, StageMachine
from lamarck.errors import LamarckError

if TYPE_CHECKING:
    import torch


def device_of(machine: StageMachine) -> "torch.device":
    """The first GPU where one is seen, else the CPU.

    Errors: LamarckError where `machine` has GPUs, or several processes, and fewer GPUs are seen here.
    """
    import torch  # seconds

    visible = torch.cuda.device_count()
    # On a machine without GPUs `here` and a count are so many processes on the CPU.
    if visible < machine.count and (visible or machine.gpu != HERE):
        raise LamarckError(without_gpu(machine, visible))
    return torch.device("cuda" if visible else "cpu")


def without_gpu(machine: StageMachine, visible: int) -> str:
    """What to say where a step that is planned for GPUs finds too few."""
    return (
        f"this step is planned on {machine.count} x {machine.gpu}, but the GPUs seen here are {visible}: "
        f"run it where there are as many, or change `machines` in the configuration (gpu: {HERE} is a CPU)"
    )
