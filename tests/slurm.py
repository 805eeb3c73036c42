"""A Slurm of one node with one GPU, which is none: Debian's own daemons on loopback, as the user who runs the tests."""

import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
START_SECONDS = 60.0
# No control groups, no accounting, and memory as a cluster's node would have it: what is tested are jobs, not limits. A
# machine that is busy with other tests answers late, and is no broken node for that.
SLURM = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge
CredType=cred/munge
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
MessageTimeout=60
BatchStartTimeout=300
SlurmdTimeout=0
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=128000 Gres=gpu:1 State=UNKNOWN
PartitionName=gpu Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


def why_unavailable() -> str | None:
    """Why there can be no Slurm here, or None where there can."""
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(missing)} (make test installs them on Debian, for root)" if missing else None


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Daemons that take jobs; the variables by which Slurm's commands find them. With what runs, they end behind it."""
    # The name of a Unix socket is short.
    place = Path(tempfile.mkdtemp(prefix="slurm-"))
    for name in ("state", "spool", "bin"):
        (place / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    port, node_port = _free_ports()
    values = {"host": host, "user": getpass.getuser(), "place": place, "port": port, "node_port": node_port}
    (place / "slurm.conf").write_text(SLURM.format(**values))
    (place / "gres.conf").write_text("NodeName=node Name=gpu File=/dev/null\n")
    (place / "key").write_bytes(os.urandom(128))
    (place / "key").chmod(0o400)
    # On a cluster it lies where all commands look. Snakemake's job step keeps the variable from `srun`.
    step = f'#!/bin/sh\nSLURM_CONF={place}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    (place / "bin/srun").write_text(step)
    (place / "bin/srun").chmod(0o755)
    path = os.pathsep.join([str(place / "bin"), os.environ["PATH"], "/usr/sbin"])
    environment = {"SLURM_CONF": str(place / "slurm.conf"), "PATH": path}
    keeper = ("munged", "--foreground", "--force", f"--socket={place}/munge", f"--key-file={place}/key")
    keeper += (f"--pid-file={place}/munge.pid", f"--log-file={place}/munge.log", f"--seed-file={place}/munge.seed")
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in (keeper, ("slurmctld", "-D"), ("slurmd", "-D", "-N", "node")):
            with (place / f"{command[0]}.out").open("wb") as log:
                daemons.append(
                    subprocess.Popen(
                        command,
                        env=os.environ | environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        _wait(place, environment, daemons)
        yield environment
        subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=os.environ | environment, check=False)
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(30)
            daemon.kill()
            daemon.wait()
        shutil.rmtree(place, ignore_errors=True)


def _wait(place: Path, environment: dict[str, str], daemons: list["subprocess.Popen[bytes]"]) -> None:
    """Until the node is idle."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and all(daemon.poll() is None for daemon in daemons):
        asked = ["sinfo", "--noheader", "--format=%T"]
        said = subprocess.run(asked, env=os.environ | environment, capture_output=True, text=True)
        if said.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = {path.name: path.read_text(errors="replace")[-2000:] for path in place.glob("*.out")}
    raise RuntimeError(f"Slurm does not start: {logs}")


def _free_ports() -> tuple[int, int]:
    """Two that nobody has, and that the system gives nobody who asks for any."""
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: set[int] = set()
    while len(found) < 2:
        port = random.SystemRandom().randrange(10_000, lowest_given)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            found.add(port)
    first, second = found
    return first, second
