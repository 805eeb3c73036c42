"""In the room: lay the subject out, run its command, and pack what it leaves. Runs alone, on the standard library.

Nothing that it says is to be trusted: the subject runs beside it under the same user. The clock that counts is outside;
here a run is only ended early, to save time: after its seconds, or when it prints a loss that has no bounds.

/task has spec.json, the subject's files in subject/, and, for an evaluator, what a run left in handed.tar.
"""

import contextlib
import filecmp
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time

TASK, WORK, OUT, SAID = "/task", "/tmp/work", "/tmp/out", "/tmp/said"
LOSS = re.compile(rb"loss\s*[:=|]?\s*(nan|[+-]?inf|[+-]?\d[\d.]*(?:e[+-]?\d+)?)", re.IGNORECASE)
LOSS_ABOVE = 100.0  # autoresearch's: a run that printed such a loss learns nothing any more
LOOK_SECONDS = 0.25
MODE = 0o644  # of every file of the subject
CHANNEL = 3  # to another room, where a command talks with one
TAIL = 8000  # bytes of what was said
WATCHED = ("run.log",)  # beside its own output: where autoresearch's template writes
HOOKS = ("sitecustomize.py", "usercustomize.py")  # what an interpreter runs unasked
MOST_CAUGHT = 20


def lay_out(spec: dict) -> None:
    shutil.copytree(f"{TASK}/subject", WORK, copy_function=shutil.copyfile)
    for directory, _, names in os.walk(WORK):
        os.chmod(directory, 0o755)
        for name in names:
            os.chmod(os.path.join(directory, name), MODE)
    if os.path.exists(f"{TASK}/handed.tar"):
        with tarfile.open(f"{TASK}/handed.tar") as archive:
            for member in archive:
                name = os.path.normpath(member.name)
                place = os.path.join(WORK, name)
                wanted = spec["take"] is None or name in spec["take"]
                # What is the subject's stays as it is in its commit.
                content = archive.extractfile(member) if member.isreg() else None
                if wanted and content and not name.startswith((".", "/")) and not os.path.exists(place):
                    os.makedirs(os.path.dirname(place), exist_ok=True)
                    with open(place, "wb") as file:
                        shutil.copyfileobj(content, file)
    os.mkdir("/tmp/bin")
    for name in ("python", "python3"):
        os.symlink(sys.executable, f"/tmp/bin/{name}")


class Watch:
    """What was printed since the last look."""

    def __init__(self) -> None:
        self.read = dict.fromkeys((SAID, *(f"{WORK}/{name}" for name in WATCHED)), 0)

    def diverged(self) -> bool:
        for path, start in self.read.items():
            with contextlib.suppress(OSError), open(path, "rb") as file:
                file.seek(start)
                content = file.read(2**20)
                whole = content.rfind(b"\n") + 1
                self.read[path] += whole
                for match in LOSS.finditer(content[:whole]):
                    value = float(match[1].rstrip(b"."))
                    if not abs(value) <= LOSS_ABOVE:
                        return True
        return False


def run(spec: dict) -> dict:
    environment = dict(os.environ) | spec["environment"] | {"PATH": "/tmp/bin:/usr/bin:/bin"}
    started = time.monotonic()
    ended = ""
    with open(SAID, "wb") as said:
        process = subprocess.Popen(
            ["sh", "-c", spec["command"]], cwd=WORK, env=environment, stdin=subprocess.DEVNULL, stdout=said,
            stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[CHANNEL] if spec["channel"] else [],
        )  # fmt: skip
        watch = Watch()
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
            if spec["seconds"] is not None and time.monotonic() - started > spec["seconds"]:
                ended = "overrun"
            elif watch.diverged():
                ended = "diverged"
            if ended:
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if not ended and watch.diverged():
        ended = "diverged"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "code": code,
        "ended": ended,
        "memory_gb": used.ru_maxrss / 2**20,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "disk_full": os.statvfs(WORK).f_bavail == 0,
        "said": tail(SAID),
        "log": tail(f"{WORK}/{WATCHED[0]}"),
    }


def tail(path: str) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return file.read(TAIL).decode(errors="replace")
    return ""


def tampered(spec: dict) -> list[str]:
    """What the run did to the files that it may only read, and what it left for the next interpreter to run."""
    found = []
    for name in laid_out():
        place = os.path.join(WORK, name)
        try:
            mode = os.lstat(place).st_mode
            if not stat.S_ISREG(mode):
                found.append(f"put something else in the place of {name}")
            elif stat.S_IMODE(mode) != MODE:
                found.append(f"changed the mode of {name}")
            elif name not in spec["mutable"] and not filecmp.cmp(f"{TASK}/subject/{name}", place, shallow=False):
                found.append(f"edited {name}")
        except OSError:
            found.append(f"took {name} away")
    for where, _, names in os.walk(WORK):
        added = (os.path.relpath(os.path.join(where, name), WORK) for name in names if name in HOOKS)
        found += [f"added {name}" for name in added if not os.path.exists(f"{TASK}/subject/{name}")]
    return sorted(found)[:MOST_CAUGHT]


def laid_out() -> list[str]:
    """Names of the subject's files, as they came into the room."""
    root = f"{TASK}/subject"
    return [os.path.relpath(os.path.join(where, name), root) for where, _, names in os.walk(root) for name in names]


def pack(spec: dict) -> list[str]:
    """Copy what is handed over to where the room packs it; what is named and no file is returned."""
    names = spec["leave"]
    if names is None:
        known = set(laid_out())
        found = (os.path.relpath(os.path.join(where, name), WORK)
                 for where, _, files in os.walk(WORK) for name in files)  # fmt: skip
        names = [name for name in found if name not in known and "__pycache__" not in name]
    missing = []
    for name in names:
        place = os.path.join(WORK, name)
        try:
            regular = stat.S_ISREG(os.lstat(place).st_mode)
        except OSError:
            regular = False
        if not regular:
            missing.append(name)
            continue
        os.makedirs(os.path.dirname(os.path.join(OUT, name)), exist_ok=True)
        os.replace(place, os.path.join(OUT, name))
    return missing


def main() -> None:
    with open(f"{TASK}/spec.json") as file:
        spec = json.load(file)
    lay_out(spec)
    ended = run(spec)
    ended["tampered"] = tampered(spec) if spec["leaves"] else []
    ended["missing"] = pack(spec) if spec["leaves"] and ended["code"] == 0 and not ended["ended"] else []
    print(json.dumps(ended))


main()
