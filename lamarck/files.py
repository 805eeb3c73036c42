"""Files as the whole project writes and reads them: atomic, canonical, content-addressed."""

import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError

# Snakemake drops this marker into directory outputs; it is not content.
SNAKEMAKE_MARKER = ".snakemake_timestamp"
# How Rust ends its sentence about an error of the operating system.
SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: sorted keys, two spaces, UTF-8, a final newline. NaN is refused."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest_value(value: Any) -> str:
    """sha256 over the canonical JSON of `value`."""
    return digest_text(canonical_json(value))


def digest_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file, read once: what is checked and what is used can then be the same bytes.

    Links are followed, because a cache of files may consist of them. What is opened must be a regular file: a pipe, a
    device or a directory is refused, and none of them is waited for. Errors: LamarckError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LamarckError(f"{path} is not a regular file: put the file itself there")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise LamarckError(f"{path} does not exist") from error
    except OSError as error:
        raise LamarckError(f"{path} cannot be read: {error.strerror}") from error


def digest_file(path: Path) -> str:
    """sha256 of a file's bytes; within one process a file that has not changed is read once."""
    if _reading_all.get():
        return _read_digest(path)
    found = path.stat()
    return _digest_file(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(maxsize=4096)
def _digest_file(path: Path, *identity: int) -> str:
    return _read_digest(path)


def _read_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(directory: Path, skip: Iterable[str] = ()) -> dict[str, str]:
    """Relative path -> sha256 for every file below `directory`, save Snakemake's marker and the names in `skip`."""
    if not directory.is_dir():
        raise LamarckError(f"{directory} does not exist")
    skipped = {SNAKEMAKE_MARKER, *skip}
    files = sorted(path for path in _below(directory) if path.is_file() and path.name not in skipped)
    return {path.relative_to(directory).as_posix(): cached_digest(path) for path in files}


def _below(directory: Path) -> Iterator[Path]:
    """All that is not a directory. Errors: OSError where one may not be read, which `rglob` would pass over."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(directory, onerror=refuse):
        yield from (Path(folder, name) for name in names)


def digest_directory(directory: Path, skip: Iterable[str] = ()) -> str:
    return digest_value(file_digests(directory, skip))


PARTIAL = ".partial"
# Beside Snakemake's own notes: to look at a lineage changes nothing else.
MEMORY = Path(".snakemake") / "lamarck" / "digests"
_reading_all = ContextVar("_reading_all", default=False)


@contextmanager
def every_byte_read() -> Iterator[None]:
    """Within it no digest is taken from memory, whatever a file's times say."""
    token = _reading_all.set(True)
    try:
        yield
    finally:
        _reading_all.reset(token)


def cached_digest(path: Path) -> str:
    """sha256 of a file, remembered by inode, size and times: 140 GB of weights are read once, not at every command.

    Small files are always read: that is as quick as looking them up.
    """
    if _reading_all.get():
        return _read_digest(path)
    if path.stat().st_size < 64 * 2**20:
        return digest_file(path)
    found = path.stat()
    identity = digest_value([str(path.resolve()), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns])
    remembered = MEMORY / identity
    if remembered.exists():
        return remembered.read_text()
    digest = digest_file(path)
    with suppress(LamarckError):  # in a checkout that may only be read it is computed each time
        write_text(remembered, digest)
    return digest


def write_text(path: Path, text: str) -> None:
    """Write `text` so that a reader, or a power cut, sees the old file or the new one, never a half."""
    write_together({path: text})


def write_together(texts: Mapping[Path, str]) -> None:
    """Write files that speak of each other, in their order; what is there stays until all of them lie on the disk.

    The last of several that is there already goes first: whenever it is there, so are the others that it speaks of.
    """
    *_, last = texts
    with ExitStack() as stack:
        ready = {}
        for path, text in texts.items():
            sentence = f"cannot write {path}: {{}}; nothing was changed"
            partial = ready[path] = stack.enter_context(_in_place_of(path, sentence))
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        if len(ready) > 1:
            last.unlink(missing_ok=True)
        for path, partial in ready.items():
            os.replace(partial, path)


@contextmanager
def _in_place_of(final: Path, sentence: str, directory: bool = False) -> Iterator[Path]:
    """A new, empty file or directory beside `final`, to be renamed to it; it vanishes with the block.

    What a process that was killed left there is swept first. A lock, not a process id, says whose it is: ids come
    again, in a restarted container always. Errors: LamarckError, `sentence` with the reason in it.
    """
    held: int | None = None
    partial: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final)
        while held is None:
            partial = _new_beside(final, directory)
            descriptor = os.open(partial, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another writer of the same file may have swept it before it was locked.
            if partial.exists():
                held = descriptor
            else:
                os.close(descriptor)
        assert partial  # it is what is held
        yield partial
    except OSError as error:
        raise LamarckError(sentence.format(error.strerror or error)) from error
    except Exception as error:
        # Libraries that write for us in Rust (safetensors, tokenizers) have exceptions of their own for the same.
        if (system := SYSTEM_ERROR.search(str(error))) and not isinstance(error, LamarckError):
            raise LamarckError(sentence.format(os.strerror(int(system[1])))) from error
        raise
    finally:
        if partial:
            _remove(partial)
        if held is not None:
            os.close(held)


def _new_beside(final: Path, directory: bool) -> Path:
    if directory:
        made = tempfile.mkdtemp(prefix=f".{final.name}.", suffix=PARTIAL, dir=final.parent)
        os.chmod(made, 0o777 & ~_umask())
        return Path(made)
    descriptor, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=PARTIAL, dir=final.parent)
    os.fchmod(descriptor, 0o666 & ~_umask())
    os.close(descriptor)
    return Path(name)


@lru_cache(maxsize=1)
def _umask() -> int:
    """What a new file's mode leaves out; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sweep(final: Path) -> None:
    """Remove what dead writers of `final` left beside it: what nobody holds a lock of."""
    for leftover in final.parent.glob(f".{glob.escape(final.name)}.*{PARTIAL}"):
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(leftover)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_changed(path: Path, text: str) -> None:
    """Write a file whose text is another one, so that its time tells when that changed. Errors: as `write_text`."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def append_line(path: Path, text: str) -> None:
    """Append one line and sync it: what a kill left half written goes first, and where it cannot be written, as on a
    full disk, nothing of it stays. Errors: LamarckError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what could not be written is not tried again when the file is closed.
        with path.open("ab+", buffering=0) as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            try:
                left = f"{text}\n".encode()
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
    except OSError as error:
        raise LamarckError(f"cannot write {path}: {error.strerror}; run it again to go on") from error


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that `append_line` writes, without a last one that a kill left unfinished; none without it.

    Errors: LamarckError where it cannot be read.
    """
    return read_regular(path).split(b"\n")[:-1] if os.path.lexists(path) else []


def write_json(path: Path, value: Any) -> None:
    write_text(path, canonical_json(value))


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    write_text(path, canonical_jsonl(rows))


def canonical_jsonl(rows: Iterable[Any]) -> str:
    """One canonical object a line."""
    return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def read_json(path: Path) -> Any:
    """Errors: LamarckError with one sentence where it is not a regular file, or not JSON."""
    return parse_json(read_regular(path), path)


def parse_json(content: bytes, source: Path) -> Any:
    """`read_json` where the bytes have been read already; errors name `source`."""
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise LamarckError(f"{source} is not valid JSON: it is nested too deep") from error
    except ValueError as error:  # also for bytes that are no text, and for a number of thousands of digits
        raise LamarckError(f"{source} is not valid JSON: {error}") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, object) for every line; a broken line is an error that names it."""
    yield from parse_jsonl(read_regular(path), path)


def parse_jsonl(content: bytes, source: Path, loads: Callable[[str], Any] = json.loads) -> Iterator[tuple[int, Any]]:
    """`read_jsonl` where the bytes have been read already, each line by `loads`; errors name `source`."""
    try:
        # Not splitlines(): a model may write U+2028 inside a string, which is legal JSON and no end of line.
        for number, line in enumerate(content.decode("utf-8").removesuffix("\n").split("\n"), start=1):
            if line:
                yield number, _parse_line(line, number, source, loads)
    except UnicodeDecodeError as error:
        raise LamarckError(f"{source} is not UTF-8 text: {error}") from error


def _parse_line(line: str, number: int, source: Path, loads: Callable[[str], Any]) -> Any:
    try:
        return loads(line)
    except RecursionError as error:
        raise LamarckError(f"{source} line {number} is not valid JSON: it is nested too deep") from error
    except ValueError as error:  # also for a number of thousands of digits
        raise LamarckError(f"{source} line {number} is not valid JSON: {error}") from error


@contextmanager
def atomic_directory(final: Path) -> Iterator[Path]:
    """Yield an empty directory beside `final` that takes its place when the block ends well, and vanishes otherwise."""
    with _in_place_of(final, f"cannot write {final}: {{}}", directory=True) as partial:
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        if final.exists():
            shutil.rmtree(final)
        os.replace(partial, final)
