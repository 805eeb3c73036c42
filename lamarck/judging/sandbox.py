"""Where code that a model wrote runs: no network, no secrets, no way to write outside, and hard limits.

Two rooms, one inside the other. bubblewrap (github.com/containers/bubblewrap) builds the outer one, once a process: the
system, the interpreter and this environment's packages, all read-only. In it waits a template (template.py): an
interpreter with its imports done. Every run is a fork of it in an inner room: process, mount, network and IPC
namespaces of its own, a small file system in memory, limits of its own, no privileges (as root: a user of its own), and
a filter of system calls. Where the rooms cannot be built nothing runs: never bare. Light.
"""

import base64
import json
import math
import os
import secrets
import selectors
import shutil
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.judging.outer_room import PLAIN, WITH_TORCH, TemplateFailed, template
from lamarck.judging.seccomp import room_filter

TASK = Path("/task")  # what the caller put in, read-only
OUT = Path("/tmp/out")  # what comes back
MIB = 2**20
# By the clock a run may last so many times the seconds of its limits: asleep, and in all, however busy the machine is.
PATIENCE, MOST_PATIENCE = 3, 20
# How long a room that is told to end may take before it counts as broken.
SECONDS_TO_END = 60
PROGRAMS = ("bwrap", "tar")


class SandboxUnavailable(LamarckError):
    """The room cannot be built here; the message says why and what to install."""


@dataclass(frozen=True)
class Limits:
    """What one run may use. `seconds` are of the CPU time of the room as a whole: a busy machine makes programs slow,
    not wrong. By the clock it may last PATIENCE times as long without getting on, and MOST_PATIENCE times in all.
    `memory_bytes` are of the room as a whole, and the most address space that one of its processes may add to what it
    starts with; `disk_bytes` come on top."""

    seconds: float = 30
    memory_bytes: int = 4096 * MIB
    disk_bytes: int = 64 * MIB
    output_bytes: int = 64 * 2**10
    processes: int = 64


@dataclass(frozen=True)
class Run:
    """How a program ended. `exit_code` is None when a limit ended it; `archive` is a tar of /tmp/out.

    Everything here was written by the program: none of it is to be trusted, and the archive is opened in a sandbox.
    """

    exit_code: int | None
    stopped_by: str | None
    stdout: str
    stderr: str
    archive: bytes = field(repr=False)

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


@dataclass(frozen=True)
class Job:
    """One run: `files` (name -> content) lie in /task. Either `command` is run, or `script`, one of the files, in a
    fork of the interpreter that has imported the modules of `imports`."""

    files: Mapping[str, str | bytes]
    limits: Limits
    command: Sequence[str] = ()
    script: str = ""
    arguments: Sequence[str] = ()
    imports: tuple[str, ...] = PLAIN
    environment: Mapping[str, str] = field(default_factory=dict)
    archived: bool = False
    channel: socket.socket | None = None  # to another room; there descriptor 3


class Sandbox:
    """Runs programs, each in a room of its own. Errors: SandboxUnavailable, on construction."""

    def __init__(self) -> None:
        for program in PROGRAMS:
            if shutil.which(program, path=os.defpath) is None:
                raise SandboxUnavailable(
                    f"code that a model wrote runs only in a sandbox, and {program} is not installed: "
                    "`apt-get install bubblewrap` (or your system's package of that name)"
                )
        # With what the rooms are for: an interpreter that starts, in a room that stands, and imports torch.
        probe = self.run_job(Job({"probe.py": "import torch"}, Limits(), script="probe.py", imports=WITH_TORCH))
        if not probe.succeeded:
            raise SandboxUnavailable(
                f"the sandbox cannot run `import torch` ({probe.stopped_by or _last_line(probe.stderr)}): install "
                "envs/cpu.txt into an environment whose files are no links to elsewhere"
            )

    def run(self, files: Mapping[str, str | bytes], command: Sequence[str], limits: Limits) -> Run:
        """Run `command` in /tmp, with `files` in /task. Never raises for what the program does."""
        return self.run_job(Job(files, limits, command))

    def python(
        self,
        files: Mapping[str, str | bytes],
        script: str,
        limits: Limits,
        *arguments: str,
        imports: tuple[str, ...] = PLAIN,
        archived: bool = False,
    ) -> Run:
        """Run `script`, one of `files`, in a fork of this environment's interpreter. `imports` are done already."""
        job = Job(files, limits, script=script, arguments=arguments, imports=imports, archived=archived)
        return self.run_job(job)

    def run_job(self, job: Job, *beside: Job) -> Run:
        """Run one, and others beside it until it ends. The others are its tools: how they end is not told.

        Errors: SandboxUnavailable where a room did not come to stand; what a program does is no error.
        """
        rooms: list[_Room] = []
        try:
            for each in (*beside, job):
                rooms.append(_Room(each))
            _supervise(rooms)
            return [room.result() for room in rooms][-1]
        except TemplateFailed as error:
            raise SandboxUnavailable(
                f"the sandbox cannot be built here ({error}): it needs bubblewrap, and root or user namespaces, which "
                "some kernels and containers forbid"
            ) from error
        finally:
            for room in rooms:
                room.close()


class _Room:
    """A run in progress: its connection to the keeper, and what comes out of it."""

    def __init__(self, job: Job) -> None:
        limits = job.limits
        self.limits = limits
        self.stopped_by: str | None = None
        self.ended = bytearray()
        self.busy = 0  # seconds in which it got on
        readers, writers = zip(*(os.pipe() for _ in range(3 if job.archived else 2)), strict=True)
        self.streams = {reader: bytearray() for reader in readers}
        caps = (limits.output_bytes, limits.output_bytes, limits.disk_bytes + MIB)
        self.caps = dict(zip(readers, caps, strict=False))
        given = [*writers, *([job.channel.fileno()] if job.channel else [])]
        values = {
            "command": list(job.command),
            "script": job.script,
            "arguments": list(job.arguments),
            "environment": dict(job.environment),
            "archive": job.archived,
            # The kernel counts processes by user. Root's it does not count at all.
            "user": 2**30 + secrets.randbelow(2**29) if os.geteuid() == 0 else None,
            "seconds": limits.seconds,
            "memory_bytes": limits.memory_bytes,
            "disk_bytes": limits.disk_bytes,
            "processes": limits.processes,
            "filter": base64.b64encode(room_filter()).decode(),
        }
        try:
            self.connection = template(job.imports).connect()
            try:
                body = json.dumps(values | {"files": _encoded(job.files)}).encode()
                socket.send_fds(self.connection, [struct.pack("<Q", len(body))], given)
                self.connection.sendall(body)
            except OSError as error:
                self.connection.close()
                raise TemplateFailed(str(error)) from error
        except TemplateFailed:
            for reader in readers:
                os.close(reader)
            raise
        finally:
            for writer in writers:
                os.close(writer)
            if job.channel:
                job.channel.close()  # it is the room's now, and its end must be seen at the other
        self._started = time.monotonic()
        self._stopped = math.inf

    def deadline(self, busy: int) -> float:
        """When its time is over, having got on for so many seconds, or waited for a room beside it that did; when it is
        to have ended, once it was told to."""
        seconds = self.limits.seconds
        asleep, in_all = PATIENCE * seconds + busy, MOST_PATIENCE * seconds
        return self._stopped + SECONDS_TO_END if self.stopped_by else self._started + min(asleep, in_all)

    def stop(self, reason: str) -> None:
        """End it: the keeper sees that the controller hung up."""
        if self.stopped_by is None:
            self.stopped_by = reason
            self._stopped = time.monotonic()
            self.connection.shutdown(socket.SHUT_WR)

    def read(self, stream: int) -> bool:
        """Take what a stream has; whether more may come."""
        if stream == self.connection.fileno():
            chunk = self.connection.recv(65536)
            self.busy += chunk.count(b"\n")
            self.ended += chunk
            return bool(chunk)
        chunk = os.read(stream, 65536)
        kept = self.streams[stream]
        kept += chunk
        if len(kept) > self.caps[stream]:
            del kept[self.caps[stream] :]
            self.stop("it wrote more than it may")
        return bool(chunk)

    def result(self) -> Run:
        """Errors: TemplateFailed where the room did not come to stand, or its keeper ended before it."""
        broken = b'{"ready": false, "error": "the keeper of the room ended"}'
        ended = json.loads(bytes(self.ended) or broken)
        if not ended["ready"] or ended["error"]:
            raise TemplateFailed(ended["error"])
        stopped = self.stopped_by or ended["stopped"]
        out, err, *archive = self.streams.values()
        return Run(
            exit_code=None if stopped else ended["code"],
            stopped_by=stopped,
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            archive=bytes(archive[0]) if archive else b"",
        )

    def close(self) -> None:
        self.connection.close()
        for stream in self.streams:
            os.close(stream)


def _supervise(rooms: Sequence[_Room]) -> None:
    """Take what comes out of the rooms, up to their caps, until all have ended; the last one's end is that of all.

    Errors: TemplateFailed where a room that is told to end does not.
    """
    with selectors.DefaultSelector() as selector:
        for room in rooms:
            for stream in (room.connection.fileno(), *room.streams):
                selector.register(stream, selectors.EVENT_READ, room)
        while selector.get_map():
            now = time.monotonic()
            open_rooms = {id(key.data): key.data for key in selector.get_map().values()}
            busy = sum(room.busy for room in rooms)
            for room in open_rooms.values():
                if now >= room.deadline(busy):
                    if room.stopped_by:
                        raise TemplateFailed("a room did not end when it was told to")
                    room.stop("its time was over")
            if id(rooms[-1]) not in open_rooms:
                for room in open_rooms.values():
                    room.stop("what it ran beside has ended")
            for key, _ in selector.select(min(room.deadline(busy) for room in open_rooms.values()) - now):
                if not key.data.read(key.fd):
                    selector.unregister(key.fd)


def _encoded(files: Mapping[str, str | bytes]) -> dict[str, str]:
    contents = {
        name: content.encode(errors="replace") if isinstance(content, str) else content
        for name, content in files.items()
    }
    return {name: base64.b64encode(content).decode() for name, content in contents.items()}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it ended without a word"])[-1]
