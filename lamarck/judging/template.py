"""The template process, as a script: an interpreter with its modules imported, of which every run is a fork.

It lives in the outer room that sandbox.py builds, has the capabilities that building rooms takes, and reads nothing of
any task: for each run it gets a connection and forks. The fork, the *keeper*, reads the request, makes the namespaces
and the file systems of the room, and watches it: it ends the room when the controller hangs up, or when all processes
of the room together hold more memory, or have used more CPU time, than they may. Process 1 of the room, the *init*,
gives up every privilege for good, and then starts the program, which is the first code that anybody but us wrote.

Runs alone, without the project. Arguments: the descriptor of the control socket, and the modules to import.
"""

import atexit
import base64
import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import types
from typing import Any, NoReturn

TASK, OUT = "/task", "/tmp/out"
CHANNEL = 3  # the descriptor of the pipe to another room, where a run has one
WATCH_SECONDS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")  # of CPU time, a second
ROOM_USER = 65534  # inside a user namespace

NEW_CGROUP, NEW_UTS, NEW_IPC = 0x02000000, 0x04000000, 0x08000000
NEW_NS, NEW_USER, NEW_PID, NEW_NET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """A function of the C library that returns 0 unless it fails. Errors: OSError."""
    if getattr(libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def mount(kind: str, place: str, flags: int, options: str = "") -> None:
    call("mount", kind.encode(), place.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The request, a length and JSON, with the descriptors that came along."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, 8)
    (left,) = struct.unpack("<Q", head)
    parts = []
    while left:
        parts.append(connection.recv(min(left, 2**20)))
        if not parts[-1]:
            raise EOFError("the controller hung up")
        left -= len(parts[-1])
    return json.loads(b"".join(parts)), descriptors


def keep(connection: socket.socket) -> None:
    """Build one room, run its program, and say how it ended: one JSON object, and before it an empty line for every
    second in which the room got on."""
    ended: dict[str, Any] = {"ready": False, "code": None, "stopped": None, "error": None}
    try:
        request, descriptors = receive(connection)
        enter_namespaces(request)
        lay_out(request)
        says, hears = os.pipe()
        init = os.fork()
        if init == 0:
            os.close(says)
            start(request, descriptors, hears)
        os.close(hears)
        for each in descriptors:
            os.close(each)
        with os.fdopen(says) as lines:
            said = lines.read()
        ended["ready"] = said == "ready"
        if not ended["ready"]:
            os.kill(init, signal.SIGKILL)
            ended["error"] = said or "the room's first process did not start"
        ended["code"], ended["stopped"] = watch(init, connection, request)
    except (OSError, ValueError, EOFError) as error:
        ended["error"] = str(error) or type(error).__name__
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(ended).encode())


def enter_namespaces(request: dict[str, Any]) -> None:
    """Namespaces of the room's own; for a plain user one of users too, in which its processes are counted apart."""
    flags = NEW_NS | NEW_PID | NEW_IPC | NEW_NET | NEW_UTS
    by_root = request["user"] is not None
    call("unshare", flags if by_root else flags | NEW_USER)
    if not by_root:
        for name, line in (("setgroups", "deny"), ("uid_map", f"{ROOM_USER} 0 1"), ("gid_map", f"{ROOM_USER} 0 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    mount("none", "/", MS_REC | MS_PRIVATE)


def lay_out(request: dict[str, Any]) -> None:
    """The task's files, read-only, and a small file system to write to."""
    mount("tmpfs", TASK, MS_NOSUID | MS_NODEV, "mode=0755")
    for name, content in request["files"].items():
        path = os.path.join(TASK, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))
    mount("none", TASK, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
    mount("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, f"mode=1777,size={request['disk_bytes']},nr_inodes=20000")


def watch(init: int, connection: socket.socket, request: dict[str, Any]) -> tuple[int, str | None]:
    """Wait for the room's end, and bring it about where it must. Returns the exit code, and why it was ended."""
    ended = os.pidfd_open(init)
    stopped: str | None = None
    spent, looked = 0, time.monotonic()
    while True:
        watched: list[Any] = [ended] if stopped else [ended, connection]
        ready, _, _ = select.select(watched, [], [], WATCH_SECONDS)
        if ended in ready:
            break
        if connection in ready:
            stopped = "the controller ended it"
        elif not stopped and held_bytes() > request["memory_bytes"]:
            stopped = "it held more memory than it may"
        if not stopped and (seconds := int(time.monotonic() - looked)):
            looked += seconds
            before, spent = spent, spent_ticks()
            if spent > TICKS * most_cpu_seconds(request):
                stopped = "it used more processor time than it may"
            elif spent != before:
                with contextlib.suppress(OSError):  # who hung up is seen above
                    connection.sendall(b"\n" * seconds)
        if stopped:
            os.kill(init, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1]), stopped


def most_cpu_seconds(request: dict[str, Any]) -> int:
    return int(request["seconds"]) + 1


def spent_ticks() -> int:
    """CPU time of all processes of the room, and of those that ended, unless nobody waited for them."""
    return sum(process_ticks(name) for name in os.listdir("/proc") if name.isdigit())


def process_ticks(process: str) -> int:
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))  # in user and kernel mode, its own and its children's


def held_bytes() -> int:
    """What all processes of the room hold. /proc is the room's own, for keeper and init share their file systems."""
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    # Counted twice: what is resident is cheap to read, and says too much of pages that forks share.
    if sum(map(resident_bytes, processes)) < 2**28:
        return 0
    return sum(map(share_bytes, processes))


def resident_bytes(process: str) -> int:
    try:
        with open(f"/proc/{process}/statm") as file:
            _, resident, shared, *_ = file.read().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def share_bytes(process: str) -> int:
    """A process's share of its memory (Pss): pages that n processes use count an n-th for each."""
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def start(request: dict[str, Any], descriptors: list[int], report: int) -> NoReturn:
    """Process 1 of the room: never returns, and its end is the end of every process in the room."""
    try:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        mount("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        report, archive = take_descriptors(descriptors, report, request["archive"])
        give_up_privileges(request["user"])
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a change of user takes it back
        call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        os.chdir("/tmp")
        if request["archive"]:
            os.mkdir(OUT)
        filter_calls(base64.b64decode(request["filter"]))
    except BaseException as error:
        os.write(report, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    program = os.fork()
    if program == 0:
        os.close(report)
        if archive is not None:
            os.close(archive)
        run(request)
    os.write(report, b"ready")
    os.close(report)
    code = reap(program)
    if archive is not None:
        packer = os.fork()
        if packer == 0:
            os.dup2(archive, 1)
            os.execve("/usr/bin/tar", ["tar", "-C", OUT, "-cf", "-", "."], dict(os.environ))
        reap(packer)
    os._exit(code if code >= 0 else 128 - code)


def reap(wanted: int) -> int:
    while True:
        process, status = os.wait()
        if process == wanted:
            return os.waitstatus_to_exitcode(status)


def take_descriptors(descriptors: list[int], report: int, archived: bool) -> tuple[int, int | None]:
    """Output, errors and the channel at their places, the report's and the archive's above them, nothing else."""
    high = [os.dup2(each, 200 + place) for place, each in enumerate([*descriptors, report])]
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for place, each in enumerate(high[:2], 1):
        os.dup2(each, place)
    others = high[2:-1]
    archive = others.pop(0) if archived else None
    if others:
        os.dup2(others[0], CHANNEL)
    kept = {CHANNEL} if others else set()
    kept |= {high[-1]} | ({archive} if archive is not None else set())
    for each in map(int, os.listdir("/proc/self/fd")):
        if each > 2 and each not in kept:
            with contextlib.suppress(OSError):
                os.close(each)
    return high[-1], archive


def give_up_privileges(user: int | None) -> None:
    """Another user, no capability in any set, and no way to get one."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if user is not None:
        os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def filter_calls(program: bytes) -> None:
    """seccomp: the kernel refuses the calls that the program names, of this process and all that it starts."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    instructions = ctypes.create_string_buffer(program, len(program))
    wanted = Program(len(program) // 8, ctypes.addressof(instructions))
    call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0)


def run(request: dict[str, Any]) -> NoReturn:
    """The program: another file, or a script in this interpreter, with its own limits."""
    call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)
    own = 0 if request["command"] else resident_address_space()
    limits = {
        resource.RLIMIT_NPROC: request["processes"],
        resource.RLIMIT_AS: request["memory_bytes"] + own,
        resource.RLIMIT_CPU: most_cpu_seconds(request),
        resource.RLIMIT_FSIZE: request["disk_bytes"],
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    code = 127
    try:
        os.environ.update(request["environment"])
        if request["command"]:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvpe(request["command"][0], request["command"], dict(os.environ))
        code = run_script(f"{TASK}/{request['script']}", request["arguments"])
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(code)


def resident_address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def run_script(path: str, arguments: list[str]) -> int:
    """As the interpreter runs a script: its exit code, after its threads and what it asked to run at the end."""
    sys.argv = [path, *arguments]
    sys.path.insert(0, TASK)
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    code = 0
    try:
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec"), main.__dict__)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if code == 1 and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        code = 1
        trace = error.__traceback__
        sys.excepthook(type(error), error, trace.tb_next if trace else None)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    return code & 0xFF


def serve(control: socket.socket) -> None:
    """Fork for every connection that comes in, until the controller hangs up."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What the imports asked to run at the end is for their own end, and touches much memory in every fork.
    atexit._clear()
    gc.collect()
    gc.freeze()
    control.sendall(b"ready")
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            keep(socket.socket(fileno=descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])


if __name__ == "__main__":
    for module in sys.argv[2:]:
        importlib.import_module(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # what the imports would do at their end takes long, and nobody waits for it
