"""The outer room, and the template in it from which every run is forked. Light: what a template imports, it imports
there.

The interpreter and this environment's packages are bound below /python, whatever their own paths are: a project may lie
under /tmp, its .venv may be a link, its home may be closed to others.
"""

import atexit
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from functools import cache
from pathlib import Path

ROOM = Path("/python")
PROGRAM = Path(__file__).with_name("template.py")
SECONDS_TO_START = 300

# What a template has imported, by what is run in it.
PLAIN: tuple[str, ...] = ()
WITH_NUMPY = ("numpy",)
WITH_TORCH = ("torch", "torch._dynamo", "torch.testing", "numpy")
_LLAMA = ("transformers", "transformers.models.llama.modeling_llama", "transformers.trainer", "peft", "datasets")
WITH_PEFT = (*WITH_TORCH, *_LLAMA)

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
# What the template needs to build rooms, and all of which it gives up in them.
CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "SETUID", "SETGID", "SETPCAP", "KILL")


SYSTEM = Path("/usr")
BASE = Path(sys.base_prefix).resolve()
INTERPRETER = (SYSTEM if BASE == SYSTEM else ROOM / "base") / "bin" / f"python3.{sys.version_info.minor}"


class TemplateFailed(Exception):
    """The template did not start or ended; the message says why, as far as it is known."""


class Template:
    """A template process: it lives as long as this object is open. Errors: TemplateFailed, on construction."""

    def __init__(self, imports: tuple[str, ...]) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        command = [*outer_room(), str(INTERPRETER), "-P", "-B", "-c", PROGRAM.read_text(encoding="utf-8")]
        # Not to be ended with the thread that starts it: it ends when this end of the socket is closed.
        with theirs, tempfile.TemporaryFile() as complaints:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), *imports],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=[theirs.fileno()],
                env={"PATH": os.defpath},
            )
            theirs.close()
            self._control.settimeout(SECONDS_TO_START)
            try:
                ready = self._control.recv(16) == b"ready"
            except TimeoutError:
                ready = False
            if not ready:
                self.close()
                complaints.seek(0)
                said = complaints.read().decode(errors="replace").strip().splitlines()
                raise TemplateFailed(said[-1] if said else "its interpreter did not start")

    def connect(self) -> socket.socket:
        """A connection to a new keeper. Errors: TemplateFailed where the template has ended."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                socket.send_fds(self._control, [b"."], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise TemplateFailed("the process from which the rooms are forked has ended") from error
        return ours

    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


_starting = threading.Lock()
_templates: dict[tuple[int, tuple[str, ...]], Template] = {}


def template(imports: tuple[str, ...]) -> Template:
    """The one template of this process with these imports, started when it is first needed, or again where it ended.

    Errors: TemplateFailed.
    """
    key = (os.getpid(), imports)  # a forked child must not share its parent's
    with _starting:
        if key not in _templates or _templates[key].ended():
            _templates[key] = Template(imports)
        return _templates[key]


@atexit.register
def close_templates() -> None:
    for (owner, _), each in _templates.items():
        if owner == os.getpid():
            each.close()
    _templates.clear()


@cache
def outer_room() -> list[str]:
    """bwrap's command line, up to the program that it starts."""
    as_root = os.geteuid() == 0
    shared = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    # Root needs no user namespace, and without one it can give up being root for good.
    room = ["bwrap", "--new-session", "--clearenv", *shared]
    room += ["--cap-drop", "ALL"] if as_root else ["--unshare-user", "--uid", "0", "--gid", "0"]
    for name in CAPABILITIES if as_root else ("ALL",):
        room += ["--cap-add", f"CAP_{name}" if as_root else name]
    # Under their usual name: by it some libraries (dill) tell packages from modules of the script's own.
    places = {ROOM / f"packages{number}" / "site-packages": path for number, path in enumerate(_packages())}
    environment = ENVIRONMENT | {"PYTHONPATH": ":".join(map(str, places))}
    if BASE != SYSTEM:
        places[ROOM / "base"] = BASE
        environment["LD_LIBRARY_PATH"] = str(ROOM / "base/lib")
    for name, value in environment.items():
        room += ["--setenv", name, value]
    room += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr", "--perms", "0755", "--dir", str(ROOM)]
    for name in ("bin", "lib", "lib64", "sbin"):
        room += ["--symlink", f"usr/{name}", f"/{name}"]
    for place, path in places.items():
        if place.parent != ROOM:  # made by bwrap itself, only its owner could enter
            room += ["--perms", "0755", "--dir", str(place.parent)]
        room += ["--ro-bind", str(path), str(place)]
    room += ["--perms", "0755", "--dir", "/task", "--perms", "0755", "--size", str(2**26), "--tmpfs", "/tmp"]
    return [*room, "--chdir", "/", "--remount-ro", "/dev", "--remount-ro", "/", "--"]


def _packages() -> list[Path]:
    """Where this environment's packages lie: what a virtual environment adds to the interpreter that it is made of."""
    if sys.prefix == sys.base_prefix:
        return []
    return sorted({Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")})
