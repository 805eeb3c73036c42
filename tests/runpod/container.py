"""A rented pod's stand-in: a container made by bubblewrap, with a real sshd on loopback and a directory of its own.

Whoever kills it kills everything in it, as when a machine is lost.
"""

import os
import platform
import pwd
import random
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.environment import DEFAULT_ENVIRONMENT

SSHD = "/usr/sbin/sshd"
# What RunPod's own images do: sshd, with a host key made on the first start and the key in PUBLIC_KEY let in.
START = """#!/bin/bash
mkdir -p ~/.ssh /run/sshd
echo "$PUBLIC_KEY" > ~/.ssh/authorized_keys
chmod 700 ~ ~/.ssh
[ -f /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
exec @SSHD -D -e -f /dev/null -p "$SSHD_PORT" -o ListenAddress=127.0.0.1 -o UsePAM=no -o PidFile=none \\
  -o HostKey=/etc/ssh/ssh_host_ed25519_key -o SetEnv="\\"PATH=$PATH\\" PYTHONPATH=/opt/default" \\
  -o MaxStartups=100 -o MaxSessions=100
""".replace("@SSHD", SSHD)
# A process started with --die-with-parent dies with the *thread* that started it: one that lives as long as the tests.
_starter = ThreadPoolExecutor(max_workers=1)


@cache
def why_unavailable() -> str | None:
    """Why no pod can be made here, or None where it can."""
    programs = ("bwrap", "ssh", "ssh-keygen", "rsync", "curl", SSHD)
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (make test installs them on Debian, for root)"
    room = ["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "true"]
    tried = subprocess.run(room, capture_output=True, text=True)
    return f"no pod can be made here: {tried.stderr.strip()}" if tried.returncode else None


# As in containers that may not make namespaces: unshare, and clone with any of their flags, are refused; clone3, whose
# flags no filter can see, is not there. Offsets: struct seccomp_data (seccomp(2)).
NAMESPACES = 0x7E020080
X86, ARM = 0xC000003E, 0xC00000B7
CALLS = {X86: {"unshare": 272, "clone": 56, "clone3": 435}, ARM: {"unshare": 97, "clone": 220, "clone3": 435}}
EPERM, ENOSYS = 1, 38


class Container:
    """`gpus`: lines of nvidia-smi, whose driver has CUDA `cuda`. Without `sandboxes` nothing in it makes namespaces,
    without `services` its image's own, sshd among them, do not start."""

    def __init__(
        self,
        directory: Path,
        arguments: str,
        environment: dict[str, str],
        gpus: Sequence[str] = (),
        cuda: str = "13.0",
        sandboxes: bool = True,
        services: bool = True,
    ) -> None:
        self.directory = directory
        self._sandboxes = sandboxes
        self.port = _free_port()
        self.lines: list[str] = []
        self._arguments = shlex.split(arguments)
        self._environment = environment
        for name in ("etc-ssh", "home", "workspace"):
            (directory / name).mkdir(parents=True)
        (directory / "start.sh").write_text(START if services else "#!/bin/sh\nexit 1\n")
        (directory / "start.sh").chmod(0o755)
        lines = shlex.quote("\n".join(gpus))
        smi = f'#!/bin/sh\n[ $# = 0 ] && echo "| CUDA Version: {cuda} |" || echo {lines}\n'
        (directory / "nvidia-smi").write_text(smi)
        (directory / "nvidia-smi").chmod(0o755)
        self._process = _starter.submit(self._start).result()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Stopped first: a bubblewrap that is killed while it starts leaves its child behind."""
        if self.runs:
            self._process.send_signal(signal.SIGSTOP)
            _signal(descendants(self._process.pid), signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop every process in it: connections stay open, and silent."""
        _signal(descendants(self._process.pid), signal.SIGSTOP)

    def _start(self) -> subprocess.Popen[str]:
        home = pwd.getpwuid(os.geteuid()).pw_dir  # where sshd looks, whatever HOME says
        environment = self._environment | {
            "HOME": home,
            "PATH": f"{Path(sys.executable).parent}:/opt/nvidia:/usr/local/bin:/usr/bin:/bin:/usr/sbin",
            "SSHD_PORT": str(self.port),
        }
        command = [
            "bwrap",
            "--unshare-pid",
            "--die-with-parent",
            "--ro-bind",
            "/usr",
            "/usr",
            "--ro-bind",
            "/etc",
            "/etc",
        ]
        for link in ("bin", "lib", "lib64", "sbin"):
            command += ["--symlink", f"usr/{link}", f"/{link}"]
        # First, because what follows may lie in /tmp.
        command += ["--tmpfs", "/tmp", "--tmpfs", "/run", "--dev", "/dev", "--proc", "/proc"]
        command += ["--bind", str(self.directory / "etc-ssh"), "/etc/ssh", "--bind", str(self.directory / "home"), home]
        command += ["--bind", str(self.directory / "workspace"), "/workspace"]
        command += ["--ro-bind", str(self.directory / "start.sh"), "/start.sh"]
        command += ["--ro-bind", str(self.directory / "nvidia-smi"), "/opt/nvidia/nvidia-smi"]
        command += ["--ro-bind", str(DEFAULT_ENVIRONMENT), "/opt/default"]
        # The interpreters and their packages: what an image would hold.
        vllm = str(Path(".venv-vllm").resolve())
        for prefix in {sys.base_prefix, sys.prefix, vllm} - {"/usr"}:
            command += ["--ro-bind-try", prefix, prefix]
        # Where vLLM looks for cores and memory.
        command += ["--ro-bind", "/sys", "/sys"]
        command += ["--cap-add", "ALL"] if os.geteuid() == 0 else []
        with tempfile.TemporaryFile() as filter_:
            if not self._sandboxes:
                filter_.write(_no_namespaces())
                filter_.seek(0)
                command += ["--seccomp", str(filter_.fileno())]
            return subprocess.Popen(
                [*command, *self._arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(filter_.fileno(),),
                text=True,
                errors="replace",
            )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))


def _no_namespaces() -> bytes:
    """A program of classic BPF, struct sock_filter for struct sock_filter."""
    load, equal, any_of, give = 0x20, 0x15, 0x45, 0x06
    refuse = 0x00050000
    calls = CALLS[X86 if platform.machine() == "x86_64" else ARM]
    program = [
        (load, 0, 0, 0),  # the call's number
        (equal, 5, 0, calls["unshare"]),
        (equal, 5, 0, calls["clone3"]),
        (equal, 0, 2, calls["clone"]),
        (load, 0, 0, 16),  # the lower half of its first argument
        (any_of, 1, 0, NAMESPACES),
        (give, 0, 0, 0x7FFF0000),
        (give, 0, 0, refuse | EPERM),
        (give, 0, 0, refuse | ENOSYS),
    ]
    return b"".join(struct.pack("<HBBI", *each) for each in program)


def _free_port() -> int:
    """One that nobody has and, until sshd takes it, nobody else is given: the system gives others than these to who
    asks for any, here and in tests that run beside."""
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, lowest_given)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _signal(processes: list[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def descendants(process: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [process]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
