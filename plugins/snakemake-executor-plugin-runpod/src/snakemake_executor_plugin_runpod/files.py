"""Which files a job needs and makes, and whether they arrived as they were."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.text import plain

PARTIAL = ".partial-transfer"

Stamp = tuple[int, int]


def expand(paths: Iterable[str]) -> list[str]:
    """Every file at or below `paths`, without those that do not exist; relative to the working directory, sorted."""
    found: set[str] = set()
    for path in paths:
        if os.path.isfile(path):
            found.add(os.path.normpath(path))
        for folder, _, files in os.walk(path):
            if PARTIAL not in Path(folder).parts:
                found.update(os.path.normpath(os.path.join(folder, name)) for name in files)
    return sorted(path for path in found if os.path.isfile(path))


def stamp(path: str) -> Stamp:
    """Size and modification time in ns: whether a file changed since it was sent."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def digest(path: Path) -> str:
    """sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(paths: Iterable[str]) -> dict[str, str]:
    """Path -> sha256, of several files side by side."""
    listed = list(paths)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as hashers:
        return dict(zip(listed, hashers.map(digest, map(Path, listed)), strict=True))


def parse_digests(text: str) -> dict[str, str]:
    """Path -> digest, from what `sha256sum` or `openssl dgst -r` prints: a digest, two other characters, the path."""
    length = hashlib.sha256().digest_size * 2
    return {os.path.normpath(line[length + 2 :]): line[:length] for line in text.splitlines() if line}


def strangers(directory: Path, wanted: Iterable[str]) -> list[str]:
    """What lies in `directory` and is neither at, above nor below one of the paths `wanted`, or is neither a regular
    file nor a directory, or has a name that commands a terminal: nothing that was asked for looks like that."""
    asked = [Path(path) for path in wanted]
    found = []
    for path in directory.rglob("*"):
        name = path.relative_to(directory)
        if PARTIAL in name.parts:
            continue
        known = any(name == each or each in name.parents or name in each.parents for each in asked)
        plain_file = not path.is_symlink() and (path.is_dir() or path.is_file())
        if not known or not plain_file or plain(str(name)) != str(name) or "\n" in str(name):
            found.append(str(name))
    return sorted(found)


def differing(directory: Path, expected: dict[str, str]) -> list[str]:
    """The paths below `directory` that are missing, damaged, or not expected."""
    files = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    there = {str(path) for path in files if PARTIAL not in path.parts}
    found = digests(str(directory / path) for path in there & expected.keys())
    wrong = {path for path in there & expected.keys() if found[str(directory / path)] != expected[path]}
    return sorted(wrong | (there ^ expected.keys()))


def install(source: Path, target: Path) -> None:
    """Put a file or directory in its place at once, with the present time: a pod's clock says nothing here."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in [source, *source.rglob("*")]:
        os.utime(path)
    if target.is_dir() and not target.is_symlink():
        old = target.with_name(f".{target.name}.{os.getpid()}.partial")
        os.replace(target, old)
        os.replace(source, target)
        shutil.rmtree(old)
    else:
        os.replace(source, target)


def adopt(source: Path, target: Path) -> None:
    """As `install`, of a copy: `source` stays, so that the next time only what is new need be fetched."""
    copy = source.with_name(f".{source.name}.{os.getpid()}.copy")
    if copy.is_dir():
        shutil.rmtree(copy)
    if source.is_dir():
        # Links: what arrives later is written into new files.
        shutil.copytree(source, copy, copy_function=os.link, ignore=shutil.ignore_patterns(PARTIAL))
    else:
        copy.unlink(missing_ok=True)
        os.link(source, copy)
    install(copy, target)


def set_aside(path: Path, below: Path) -> None:
    """Move a file or directory out of the way, under its path below another one; the last one of that path is kept."""
    if not os.path.lexists(path):
        return
    kept = below / path
    shutil.rmtree(kept) if kept.is_dir() else kept.unlink(missing_ok=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, kept)


def tell(command: str, paths: Iterable[str]) -> str:
    """Run a command of the settings here, with `paths` after its words; what it prints. `python` is this one.

    Errors: RunPodError with what it said where it fails.
    """
    search = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    words = [*shlex.split(command), *paths]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PATH": search})
    if done.returncode:
        raise RunPodError(f"`{command}` failed: {done.stderr.strip()}")
    return done.stdout
