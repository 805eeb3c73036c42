"""Where code that a model wrote runs: no network, no secrets, no way to write outside, and hard limits.

bubblewrap (github.com/containers/bubblewrap) builds the room: namespaces of its own, the interpreter read-only, /tmp
a small memory file system that ends with it. Inside, prlimit sets the limits. Started as root, the program runs as
`nobody`, because the kernel counts no processes of root. Where the room cannot be built nothing runs: never bare.
Light.
"""

import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lamarck.errors import LamarckError

TASK = Path("/task")  # what the caller put in, read-only
OUT = Path("/tmp/out")  # what comes back
NOBODY = "65534"
MIB = 2**20

# Each line becomes an environment variable; nothing of the caller's environment does.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}
# The program, then whatever it left in /tmp/out as a tar archive. The archive's pipe comes in as standard input, the
# one descriptor with a fixed number that nothing else needs; the program does not inherit it.
PATIENCE = 3
WRAPPER = f"""
exec 3>&0 </dev/null
mkdir {OUT}
"$@" 3>&-
code=$?
tar -C {OUT} -cf - . >&3
exit $code
"""


class SandboxUnavailable(LamarckError):
    """The room cannot be built here; the message says why and what to install."""


@dataclass(frozen=True)
class Limits:
    """What one run may use. `seconds` are of each process's own CPU time: a busy machine makes programs slow, not
    wrong. By the clock all of it may last PATIENCE times as long. Memory is address space, of which torch takes far
    more than it touches."""

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


class Sandbox:
    """Runs programs one by one, each in a room of its own. Errors: SandboxUnavailable, on construction."""

    def __init__(self) -> None:
        for program in ("bwrap", "prlimit", "setpriv", "tar"):
            if shutil.which(program, path=os.defpath) is None:
                raise SandboxUnavailable(
                    f"code that a model wrote runs only in a sandbox, and {program} is not installed: "
                    "`apt-get install bubblewrap` (or your system's package of that name)"
                )
        probe = self.run({}, ["/usr/bin/true"], Limits(seconds=10))
        if not probe.succeeded:
            reason = next(iter(probe.stderr.strip().splitlines()), probe.stopped_by)
            raise SandboxUnavailable(
                f"the sandbox cannot be built here ({reason}): bubblewrap needs user namespaces, which this kernel or "
                "container forbids"
            )

    def run(self, files: Mapping[str, str | bytes], command: Sequence[str], limits: Limits) -> Run:
        """Run `command` in /tmp, with `files` (name -> content) in /task. Never raises for what the program does."""
        with _laid_out(files) as task:
            return _supervise([*self._room, "--ro-bind", str(task), str(TASK), *_inside(limits), *command], limits)

    def python(self, files: Mapping[str, str | bytes], script: str, limits: Limits, *arguments: str) -> Run:
        """Run `script`, one of `files`, with this environment's interpreter and packages."""
        return self.run(files, [sys.executable, "-B", str(TASK / script), *arguments], limits)

    @cached_property
    def _room(self) -> list[str]:
        as_root = os.geteuid() == 0
        room = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
        # Root needs no user namespace, and without one it can give up being root for good.
        shared = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        room += shared if as_root else ["--unshare-all", "--unshare-user", "--disable-userns"]
        for name, value in ENVIRONMENT.items():
            room += ["--setenv", name, value]
        room += ["--proc", "/proc", "--dev", "/dev"]
        for name in ("bin", "lib", "lib64", "sbin"):
            room += ["--symlink", f"usr/{name}", f"/{name}"]
        for tree in _readable():
            for parent in reversed(tree.parents[:-1]):
                room += ["--perms", "0755", "--dir", str(parent)]
            room += ["--ro-bind", str(tree), str(tree)]
        return room


def _readable() -> list[Path]:
    """What a program can read: the system's programs, the interpreter, and this environment's packages."""
    trees = {Path("/usr"), Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()}
    return sorted(tree for tree in trees if not any(other in tree.parents for other in trees))


def _inside(limits: Limits) -> list[str]:
    """The end of bwrap's command line: the writable part, then the limits, then the wrapper around the program."""
    inside = ["--perms", "1777", "--size", str(limits.disk_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    inside += ["--remount-ro", "/dev", "--remount-ro", "/", "--"]
    if os.geteuid() == 0:
        inside += ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        inside += ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    inside += ["prlimit", f"--nproc={limits.processes}", f"--as={limits.memory_bytes}"]
    inside += [f"--cpu={int(limits.seconds) + 1}", f"--fsize={limits.disk_bytes}", "--nofile=256", "--core=0"]
    return [*inside, "/bin/sh", "-c", WRAPPER, "sh"]


@contextmanager
def _laid_out(files: Mapping[str, str | bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lamarck-task-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        for name, content in files.items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        yield path


def _supervise(command: list[str], limits: Limits) -> Run:
    """Start the room, read what comes out up to the caps, and end it when its time or a cap is over."""
    archive_read, archive_write = os.pipe()
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdin=archive_write, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": os.defpath}
    )
    os.close(archive_write)
    assert process.stdout
    assert process.stderr
    streams = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray(), archive_read: bytearray()}
    caps = dict.fromkeys(streams, limits.output_bytes) | {archive_read: limits.disk_bytes + MIB}
    stopped_by = _read(streams, caps, started + PATIENCE * limits.seconds)
    if stopped_by:
        process.kill()
    code = process.wait()
    os.close(archive_read)
    out, err, archive = streams.values()
    process.stdout.close()
    process.stderr.close()
    return Run(
        exit_code=None if stopped_by else code,
        stopped_by=stopped_by,
        stdout=out.decode(errors="replace"),
        stderr=err.decode(errors="replace"),
        archive=bytes(archive),
    )


def _read(streams: dict[int, bytearray], caps: Mapping[int, int], deadline: float) -> str | None:
    """Fill `streams` until all are closed; why it ended early, or None."""
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return "its time was over"
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, 65536)
                streams[key.fd] += chunk
                if len(streams[key.fd]) > caps[key.fd]:
                    del streams[key.fd][caps[key.fd] :]
                    return "it wrote more than it may"
                if not chunk:
                    selector.unregister(key.fd)
    return None
