"""A copy of every checkpoint in a second place, for a machine that dies: a directory that rsync reaches. Light."""

import shutil
import subprocess
import sys
from pathlib import Path

from lamarck.errors import LamarckError

# Locks and what is half written begin with a dot, but for the run's own lock.
LEFT_OUT = ("--exclude", ".*", "--exclude", "/lock")


def place_of(copy_to: str, child: str) -> str:
    """Where the copies of a child's checkpoints go."""
    return f"{copy_to.rstrip('/')}/{child}"


def check_can_copy() -> None:
    """Errors: LamarckError where there is no rsync here: said before hours of training."""
    if shutil.which("rsync") is None:
        raise LamarckError("recipe.copy_to needs rsync, which is not installed here: install it, or leave copy_to out")


def copy_to_second_place(checkpoint: Path, place: str) -> None:
    """Make `place` what the directory `checkpoint` is; a file is there under its name when it is whole.

    A copy that fails is said and ends no training: the checkpoint itself is here.
    """
    done = _rsync("--delete-after", "--mkpath", *LEFT_OUT, f"{checkpoint}/", f"{place}/")
    if done.returncode:
        print(f"warning: no copy of the checkpoint in {place}: {_reason(done)}", file=sys.stderr, flush=True)


def fetch_copy(place: str, into: Path) -> None:
    """Bring a copy to the directory `into`. Errors: LamarckError where it cannot be had."""
    check_can_copy()
    done = _rsync(f"{place.rstrip('/')}/", f"{into}/")
    if done.returncode:
        raise LamarckError(f"{place} cannot be fetched: {_reason(done)}")


def _rsync(*words: str) -> "subprocess.CompletedProcess[str]":
    command = ["rsync", "--archive", "--whole-file", *words]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.strip().splitlines()
    return lines[0] if lines else f"rsync ended with {done.returncode}"
