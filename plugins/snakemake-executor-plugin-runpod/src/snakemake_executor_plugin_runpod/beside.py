"""A job that runs here, beside a pod: for work that must not, or cannot, be done there, as judging what a model wrote.

The pod serves what needs its GPUs at a Unix socket; ssh brings the socket here; the job finds it in its environment."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_runpod.api import Wait
from snakemake_executor_plugin_runpod.ssh import Remote

TAIL = 4000
TUNNEL_SECONDS = 30.0
END_SECONDS = 30.0


@dataclass(frozen=True)
class Beside:
    """`serves`: a shell command for the pod, which makes a Unix socket at the path that the environment's `variable`
    names. `runs`: the job's command here, where `variable` names the other end. `check`: a command that must succeed
    here before anything is served."""

    serves: str
    runs: str
    variable: str
    check: str


@dataclass(frozen=True)
class Ended:
    """`tail`: the end of what the job printed."""

    code: int
    tail: str


def run_beside(
    beside: Beside,
    remote: Remote,
    socket: str,
    ready: Callable[[], bool],
    alive: Callable[[], None],
    poll: float,
    wait: Wait,
) -> Ended:
    """Wait until the pod serves, open the tunnel, run the job to its end. `alive` is asked again and again, and raises
    when the job has to stop. Errors: those of `ready` and `alive`."""
    while not ready():
        wait(min(poll, 1.0))
    with tempfile.TemporaryDirectory(prefix="rp-") as directory:
        here = Path(directory) / "socket"
        # A connection of its own: it is to break when the pod does.
        flags = ["-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"]
        command = [remote.shell[0], *flags, *remote.shell[1:], "-N", "-L", f"{here}:{socket}", remote.target]
        tunnel = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + TUNNEL_SECONDS
            while not here.exists() and tunnel.poll() is None and time.monotonic() < until:
                wait(0.05)
            return _run(beside, here, alive, poll, wait)
        finally:
            tunnel.terminate()
            tunnel.wait()


def _run(beside: Beside, socket: Path, alive: Callable[[], None], poll: float, wait: Wait) -> Ended:
    search = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": search, beside.variable: str(socket)}
    with tempfile.TemporaryFile() as output:
        job = subprocess.Popen(
            ["bash", "-c", beside.runs],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        started = time.monotonic()
        try:
            while job.poll() is None:
                wait(min(poll, 0.2 + (time.monotonic() - started) / 10))
                alive()
        finally:
            _stop(job)
        output.seek(max(0, os.fstat(output.fileno()).st_size - TAIL))
        return Ended(job.returncode, output.read().decode(errors="replace"))


def _stop(job: subprocess.Popen[bytes]) -> None:
    """The job and what it has started; nothing where it has ended."""
    if job.poll() is not None:
        return
    os.killpg(job.pid, 15)
    try:
        job.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, 9)
        job.wait()
