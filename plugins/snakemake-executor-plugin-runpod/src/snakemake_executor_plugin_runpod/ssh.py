"""Commands and files between here and a pod: the system's own ssh and rsync, the host's key pinned."""

import errno
import math
import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_runpod.api import SshEndpoint
from snakemake_executor_plugin_runpod.errors import RunPodError, Unreachable, WrongHostKey
from snakemake_executor_plugin_runpod.text import plain

CALL_SECONDS = 60.0
# ssh itself failed, not the command; rsync: protocol, socket, timeout.
SSH_FAILED = 255
RSYNC_UNREACHABLE = (10, 12, 30, 35, 255)
# A file went while the list of files was being worked through, as temporary ones of a running job do. What must be
# whole is compared by digests.
RSYNC_VANISHED = 24
SAY_EVERY_SECONDS = 10.0
# 33 faults by which a sender could write elsewhere, or read this machine's memory, were mended up to here.
LEAST_RSYNC = (3, 5, 0)
# What a command may print. A pod is somebody else's machine: nothing of it is taken without a bound.
PRINTED_BYTES = 64 * 2**20
FILES = 100_000

Say = Callable[[str], object]
Until = Callable[[], float]


class Failed(Exception):
    """The command ran on the pod, and failed."""


class TooMuch(Failed):
    """The pod sends more than was to be expected."""


class OutOfTime(Exception):
    """The pod's time was over while files moved."""


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
    """Errors: RunPodError where ssh or rsync is not installed, or rsync is one with known faults."""
    for program in ("ssh", "ssh-keygen", "rsync"):
        if shutil.which(program) is None:
            raise RunPodError(f"{program} is not installed: it carries jobs and files to the pod")
    said = subprocess.run(["rsync", "--version"], capture_output=True, text=True).stdout
    found = re.match(r"rsync +version v?(\d+)\.(\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < LEAST_RSYNC:
        least = ".".join(map(str, LEAST_RSYNC))
        version = ".".join(found.groups()) if found else "of no known version"
        raise RunPodError(
            f"rsync here is {version}, and before {least} a machine that it talks to could write where it should not: "
            f"install {least} or later (your system's backports, conda-forge, Homebrew), first in PATH"
        )
    # A socket's path is at most about 100 characters long: not below the project.
    directory = Path(tempfile.mkdtemp(prefix="rp-"))
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(directory / "key")]
    subprocess.run(command, check=True, capture_output=True)
    return Keys(directory)


class Remote:
    """A pod's shell, and one directory on it."""

    def __init__(
        self, endpoint: SshEndpoint, host_key: str, keys: Keys, root: str, silent_seconds: float = 300.0
    ) -> None:
        """`host_key` is "ssh-ed25519 AAAA...": a host with another key is not spoken to. `silent_seconds`: how long one
        may be silent before it is given up."""
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
            "ConnectTimeout": max(2, min(15, int(silent_seconds / 3))),
            # A line that is dead is known to be so well before the pod behind it is given up.
            "ServerAliveInterval": max(1, min(10, int(silent_seconds / 9))),
            "ServerAliveCountMax": 3,
            "ControlMaster": "auto",
            "ControlPath": keys.directory / "%C",
            "ControlPersist": 60,
            "LogLevel": "ERROR",
        }
        flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
        self.shell = ["ssh", "-F", "/dev/null", "-p", str(endpoint.port), "-i", str(keys.private), *flags]

    def login(self) -> str:
        """The command by which a person gets into the directory."""
        return shlex.join([*self.shell, "-t", self.target, f"cd {self.root} && exec bash"])

    def run(self, script: str, seconds: float = CALL_SECONDS) -> bytes:
        """Run a shell script in the directory; returns what it printed.

        The script travels on standard input: nothing of it shows in a process list.
        Errors: Unreachable, Failed, TooMuch, WrongHostKey.
        """
        text = f"mkdir -p {self.root} && cd {self.root} || exit 1\n{script}\n"
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            given.write(text.encode())
            given.seek(0)
            command = [*_bounded(PRINTED_BYTES), *self.shell, self.target, "bash -s"]
            try:
                done = subprocess.run(command, stdin=given, stdout=out, stderr=errors, timeout=seconds)
            except subprocess.TimeoutExpired as error:
                raise Unreachable(f"no answer in {seconds:g} s") from error
            errors.seek(0)
            if out.seek(0, os.SEEK_END) >= PRINTED_BYTES:
                raise TooMuch(f"a command on the pod prints more than {PRINTED_BYTES / 2**20:.0f} MiB")
            if done.returncode:
                self._raise(done.returncode, errors.read(), (SSH_FAILED,))
            out.seek(0)
            return out.read()

    def send(self, paths: Iterable[str], say: Say, until: Until) -> None:
        """Files below the working directory, under the same paths. What is there already is not sent again.

        `until` says when the pod's time is over. Errors: as `run`, OutOfTime.
        """
        there = f"{self.target}:{self.root}/"
        self._rsync(["--perms", "--copy-links", "--relative", "./", there], paths, say, until)

    def fetch(
        self,
        paths: Iterable[str],
        target: Path,
        say: Say,
        until: Until,
        bytes_: float,
        exact: bool = False,
        root: str | None = None,
    ) -> None:
        """Files and directories from the pod into `target`, under the same paths; missing ones are left out, and what
        else `target` has in such a directory is removed. They are looked for below `root` there, else the directory.

        With `exact`, contents are compared, not sizes and times. Links arrive as what they point to: a pod cannot make
        this machine follow one. Errors: as `send`; TooMuch beyond `bytes_` in all, or FILES files.
        """
        target.mkdir(parents=True, exist_ok=True)
        again = ["--checksum"] if exact else []
        arguments = ["--recursive", "--copy-links", "--relative", "--ignore-missing-args", "--delete", *again]
        self._rsync([*arguments, f"{self.target}:{root or self.root}/./", f"{target}/"], paths, say, until, bytes_)

    def close(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([*self.shell, "-O", "exit", self.target], capture_output=True, timeout=10)

    def _rsync(
        self, arguments: list[str], paths: Iterable[str], say: Say, until: Until, bytes_: float = math.inf
    ) -> None:
        """An interrupted file goes on where it stopped: its beginning is kept in .partial-transfer."""
        listed = "\0".join(paths)
        command = [
            *_bounded(bytes_),
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
                try:
                    _watch(process, say, until, bytes_)
                except BaseException:
                    process.kill()
                    raise
            if process.returncode not in (0, RSYNC_VANISHED):
                errors.seek(0)
                said = errors.read(PRINTED_BYTES)
                if os.strerror(errno.EFBIG).encode() in said:
                    raise TooMuch(f"a file of the pod is larger than {bytes_ / 1e9:.1f} GB")
                self._raise(process.returncode, said, RSYNC_UNREACHABLE)

    def _raise(self, code: int, said: bytes, unreachable: tuple[int, ...]) -> None:
        errors = plain(said.decode(errors="replace"))
        last = " ".join(errors.split())[-500:]
        if "Host key verification failed" in errors or "HOST IDENTIFICATION HAS CHANGED" in errors:
            raise WrongHostKey(last)
        if code in unreachable:
            raise Unreachable(last)
        raise Failed(f"exit {code}: {last}")


def _bounded(bytes_: float) -> list[str]:
    """Words before a command that may write no file larger than that: whatever it is sent, the kernel stops it."""
    if math.isinf(bytes_):
        return []
    return ["sh", "-c", f'ulimit -f {int(bytes_ // 512) + 1} && exec "$@"', "sh"]  # POSIX counts blocks of 512 bytes


def _watch(process: subprocess.Popen[bytes], say: Say, until: Until, most: float) -> None:
    """Read rsync's progress to its end. It writes `  1,234,567  45%  12.34MB/s    0:00:05 (xfr#3, to-chk=7/12)`, each
    line over the last. Errors: OutOfTime, TooMuch."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    said = time.monotonic()
    while True:
        if time.time() > until():
            raise OutOfTime
        readable, _, _ = select.select([descriptor], [], [], 1.0)
        if not readable:
            continue
        if not (chunk := os.read(descriptor, 65536)):
            return
        found = re.findall(rb"([\d,]+)\s+(\d+)%\s+(\S+/s)\s+(\S+)(?:\s+\(xfr#\d+, to-chk=\d+/(\d+)\))?", chunk)
        for size, _, _, _, files in found:
            if int(size.replace(b",", b"")) > most or int(files or 0) > FILES:
                raise TooMuch(f"the pod sends more than {most / 1e9:.1f} GB or {FILES} files")
        if found and time.monotonic() - said > SAY_EVERY_SECONDS:
            said = time.monotonic()
            size, percent, rate, left, _ = (part.decode() for part in found[-1])
            say(f"{int(size.replace(',', '')) / 1e9:.2f} GB, {percent}%, {rate}, {left} left")
