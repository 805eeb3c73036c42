"""Commands and files between here and a pod: the system's own ssh and rsync, the host's key pinned."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_runpod.api import SshEndpoint
from snakemake_executor_plugin_runpod.errors import RunPodError, Unreachable, WrongHostKey

CALL_SECONDS = 60.0
# ssh itself failed, not the command; rsync: protocol, socket, timeout.
SSH_FAILED = 255
RSYNC_UNREACHABLE = (10, 12, 30, 35, 255)
# A file went while the list of files was being worked through, as temporary ones of a running job do. What must be
# whole is compared by digests.
RSYNC_VANISHED = 24
SAY_EVERY_SECONDS = 10.0

Say = Callable[[str], object]


class Failed(Exception):
    """The command ran on the pod, and failed."""


@dataclass(frozen=True)
class Keys:
    """The run's own key pair and the sockets of its connections: a directory that only its owner can read."""

    directory: Path

    @property
    def private(self) -> Path:
        return self.directory / "key"

    @property
    def public(self) -> str:
        return (self.directory / "key.pub").read_text().strip()

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


def make_keys() -> Keys:
    """Errors: RunPodError where ssh or rsync is not installed."""
    for program in ("ssh", "ssh-keygen", "rsync"):
        if shutil.which(program) is None:
            raise RunPodError(f"{program} is not installed: it carries jobs and files to the pod")
    # A socket's path is at most about 100 characters long: not below the project.
    directory = Path(tempfile.mkdtemp(prefix="rp-"))
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(directory / "key")]
    subprocess.run(command, check=True, capture_output=True)
    return Keys(directory)


class Remote:
    """A pod's shell, and one directory on it."""

    def __init__(self, endpoint: SshEndpoint, host_key: str, keys: Keys, root: str) -> None:
        """`host_key` is "ssh-ed25519 AAAA...": a host with another key is not spoken to."""
        self.root = root
        self.target = f"{endpoint.username}@{endpoint.host}"
        known = keys.directory / f"known-{endpoint.host}-{endpoint.port}"
        known.write_text(f"[{endpoint.host}]:{endpoint.port} {host_key}\n{endpoint.host} {host_key}\n")
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": known,
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlgorithms": "ssh-ed25519",
            "UpdateHostKeys": "no",
            "ConnectTimeout": 15,
            "ServerAliveInterval": 10,
            "ServerAliveCountMax": 3,
            "ControlMaster": "auto",
            "ControlPath": keys.directory / "%C",
            "ControlPersist": 60,
            "LogLevel": "ERROR",
        }
        flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
        self.shell = ["ssh", "-F", "/dev/null", "-p", str(endpoint.port), "-i", str(keys.private), *flags]

    def run(self, script: str, seconds: float = CALL_SECONDS) -> bytes:
        """Run a shell script in the directory; returns what it printed.

        The script travels on standard input: nothing of it shows in a process list.
        Errors: Unreachable, Failed, WrongHostKey.
        """
        command = [*self.shell, self.target, "bash -s"]
        text = f"mkdir -p {self.root} && cd {self.root} || exit 1\n{script}\n"
        try:
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"no answer in {seconds:g} s") from error
        if done.returncode:
            self._raise(done.returncode, done.stderr.decode(errors="replace"), (SSH_FAILED,))
        return done.stdout

    def send(self, paths: Iterable[str], say: Say) -> None:
        """Files below the working directory, under the same paths. What is there already is not sent again."""
        self._rsync(["--perms", "--copy-links", "--relative", "./", f"{self.target}:{self.root}/"], paths, say)

    def fetch(self, paths: Iterable[str], target: Path, say: Say, exact: bool = False) -> None:
        """Files and directories from the pod into `target`, under the same paths; missing ones are left out.

        With `exact`, contents are compared, not sizes and times. Links arrive as what they point to: a pod cannot make
        this machine follow one.
        """
        target.mkdir(parents=True, exist_ok=True)
        again = ["--checksum"] if exact else []
        arguments = ["--recursive", "--copy-links", "--relative", "--ignore-missing-args", *again]
        self._rsync([*arguments, f"{self.target}:{self.root}/./", f"{target}/"], paths, say)

    def close(self) -> None:
        subprocess.run([*self.shell, "-O", "exit", self.target], capture_output=True)

    def _rsync(self, arguments: list[str], paths: Iterable[str], say: Say) -> None:
        """An interrupted file goes on where it stopped: its beginning is kept in .partial-transfer."""
        listed = "\0".join(paths)
        command = [
            *("rsync", "--times", "--from0", "--files-from=-", "--partial-dir=.partial-transfer", "--timeout=120"),
            *("--info=progress2", "--no-inc-recursive", "--outbuf=L", "-e", " ".join(self.shell), *arguments),
        ]
        with (
            tempfile.TemporaryFile() as names,
            tempfile.TemporaryFile() as errors,
        ):
            names.write(listed.encode())
            names.seek(0)
            with subprocess.Popen(command, stdin=names, stdout=subprocess.PIPE, stderr=errors, bufsize=0) as process:
                assert process.stdout is not None
                _say_progress(process.stdout.fileno(), say)
            if process.returncode not in (0, RSYNC_VANISHED):
                errors.seek(0)
                self._raise(process.returncode, errors.read().decode(errors="replace"), RSYNC_UNREACHABLE)

    def _raise(self, code: int, errors: str, unreachable: tuple[int, ...]) -> None:
        last = " ".join(errors.split())[-500:]
        if "Host key verification failed" in errors or "HOST IDENTIFICATION HAS CHANGED" in errors:
            raise WrongHostKey(last)
        if code in unreachable:
            raise Unreachable(last)
        raise Failed(f"exit {code}: {last}")


def _say_progress(descriptor: int, say: Say) -> None:
    """rsync writes `  1,234,567  45%  12.34MB/s    0:00:05`, each line over the last."""
    said = time.monotonic()
    while chunk := os.read(descriptor, 65536):
        found = re.findall(rb"([\d,]+)\s+(\d+)%\s+(\S+/s)\s+(\S+)", chunk)
        if found and time.monotonic() - said > SAY_EVERY_SECONDS:
            said = time.monotonic()
            size, percent, rate, left = (part.decode() for part in found[-1])
            say(f"{int(size.replace(',', '')) / 1e9:.2f} GB, {percent}%, {rate}, {left} left")
