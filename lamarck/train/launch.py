"""Several processes for one training run: started together, ended together."""

import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import parent_process
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessContext, ProcessException

from lamarck.config import StageMachine
from lamarck.errors import LamarckError
from lamarck.models.device import device_of
from lamarck.train.team import Team, alone

SENTENCE = "sentence{}"
TRACE = "trace{}"
KEPT = "the last checkpoint is kept: run again to go on"


def run_on(machine: StageMachine, work: Callable[[Team], None]) -> None:
    """Run `work`, which must be picklable, in as many processes as `machine` has GPUs; one is this process itself.

    Without a GPU, and where the configuration names none, they are processes on the CPU.
    Errors: LamarckError for fewer GPUs than processes, and for whatever ended one of them; the others are ended too.
    """
    device = device_of(machine)
    if machine.count == 1:
        work(alone(device))
        return
    # What a killed process leaves to Python to tidy up, and who was ended for whom, is no news to the user.
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
    logging.getLogger(multiprocessing.spawn.__module__).setLevel(logging.ERROR)
    # They meet at a file there, rather than at a port that others can reach.
    with tempfile.TemporaryDirectory() as directory:
        arguments = (work, machine.count, device.type, Path(directory).resolve())
        processes = multiprocessing.spawn(_member, arguments, nprocs=machine.count, join=False, daemon=True)
        try:
            while not processes.join():
                pass
        except ProcessException as error:
            for sentence in Path(directory).glob(SENTENCE.format("*")):
                raise LamarckError(sentence.read_text(encoding="utf-8")) from None
            raise LamarckError(f"{_cause(processes, error, Path(directory))}; {KEPT}") from error


def _member(rank: int, work: Callable[[Team], None], size: int, kind: str, directory: Path) -> None:
    """One process: PyTorch sends it SIGINT when its parent dies, which must end it also within a collective."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    if parent is None or not parent.is_alive():
        sys.exit(1)
    os.environ.update(GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")  # no other machine takes part
    device = torch.device("cpu")
    if kind == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=f"file://{directory}/meeting",
        timeout=timedelta(hours=1),  # large weights come to one process much later than to another
        rank=rank,
        world_size=size,
    )
    try:
        work(Team(rank, size, device))
    except LamarckError as error:
        _leave(directory / SENTENCE.format(rank), str(error))
    except Exception:
        _leave(directory / TRACE.format(rank), traceback.format_exc())
    dist.destroy_process_group()


def _leave(path: Path, why: str) -> NoReturn:
    """End this process at once: the threads of a broken group of processes would abort an orderly end."""
    path.write_text(why, encoding="utf-8")
    os._exit(1)


def _cause(processes: ProcessContext, error: ProcessException, directory: Path) -> str:
    """Of all that ended, the process that a signal ended is the cause: its peers only lost it, and got a SIGTERM.

    Without one it is the process that failed first; its trace is printed.
    """
    size = len(processes.processes)
    for rank in (error.error_index, *range(size)):
        code = processes.processes[rank].exitcode or 0
        if code < 0 and (rank == error.error_index or code != -signal.SIGTERM):
            return f"process {rank + 1} of {size} was ended by {signal.Signals(-code).name}"
    traces = {path: rank for rank in range(size) if (path := directory / TRACE.format(rank)).exists()}
    if not traces:
        print(error, file=sys.stderr)
        return f"process {error.error_index + 1} of {size} failed"
    first = min(traces, key=lambda path: path.stat().st_mtime_ns)
    print(first.read_text(encoding="utf-8"), file=sys.stderr)
    return f"process {traces[first] + 1} of {size} failed"
