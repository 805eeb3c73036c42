"""The journal of what an approved run has spent: the device-seconds of all of its attempts add up. Light.

    python -m lamarck.gate.journal approvals/spent/g1      # a pod's journal came back: count it from here on

Device-seconds are wall seconds times processes, from the first step's beginning to the last one's end, checkpoints and
logs included. They are written before they are spent, a second in advance, so an attempt that is killed has never spent
more than its last line says, and at most that second less.

approvals/spent/gN/PLAN.jsonl has a line for every second of work, sealed and chained to the line before. How many lines
there are is counted in .lamarck/spent/. So a journal that is deleted, shortened or edited is refused; one that is put
back together with all of .lamarck/ cannot be told from the truth.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import digest_text, read_json, read_regular, write_json
from lamarck.seal import is_sealed, key_of, pod_keys, seal

SPENT = Path("approvals/spent")
COUNTERS = Path(".lamarck/spent")
AHEAD = 1.0  # seconds that are written before they are spent
EVERY = 0.5


@dataclass(frozen=True)
class JournalLine:
    """`device_seconds` of one attempt up to now."""

    attempt: int
    device_seconds: float
    seal: str

    def signed(self) -> bytes:
        return f"{self.attempt} {self.device_seconds!r}".encode()


@dataclass(frozen=True)
class Journal:
    """The journal of one approved plan's run, of one arm: `path` is named by the plan's digest."""

    path: Path

    @cached_property
    def key(self) -> bytes:
        return key_of(self.path.parent)

    @property
    def counter(self) -> Path:
        return COUNTERS / f"{digest_text(os.path.relpath(self.path))[:32]}.json"

    @property
    def lock(self) -> Path:
        """What a process holds that writes it."""
        return self.counter.with_suffix(".lock")

    def read(self, uncounted: bool = False) -> list[JournalLine]:
        """Its lines, without a last one that a kill left unfinished. Writes nothing.

        `uncounted`: it may have begun on a pod. Errors: LamarckError where lines were edited, or are missing.
        """
        # Before the lines: while they are read, whoever is at work adds some, and counts them.
        counted = read_json(self.counter) if self.counter.exists() else None
        lines = self._chained()
        if counted is None:
            if lines and self.counter.exists():
                return self.read(uncounted)  # its first ones came just now
            # On a pod the lines are the controller's, which has compared them with its own counter.
            if lines and not uncounted and not pod_keys():
                raise LamarckError(self._refused("was not written by this checkout"))
            return lines
        if not isinstance(counted, dict) or not is_sealed(counted.get("seal"), self.key, *_counted(counted)):
            raise LamarckError(self._refused(f"cannot be compared with {self.counter}, which was edited"))
        number = counted["lines"]
        if number > len(lines) or (number and lines[number - 1].seal != counted["last"]):
            raise LamarckError(
                self._refused("is missing" if not self.path.exists() else "was shortened, or put back from before")
            )
        return lines

    def count(self, lines: list[JournalLine]) -> None:
        """From here on these lines must be there."""
        said: dict[str, object] = {"lines": len(lines), "last": lines[-1].seal if lines else ""}
        write_json(self.counter, said | {"seal": seal(self.key, *_counted(said))})

    def spent(self) -> float:
        """Device-seconds of all attempts until now. Errors: those of `read`."""
        return sum(_by_attempt(self.read()).values())

    @contextmanager
    def attempt(self, processes: int) -> Iterator["Attempt"]:
        """Write a new attempt's seconds, from here to the end of the block. Errors: those of `read`, and of writing."""
        lines = self.read()
        if not lines:
            self.count([])  # it comes first: a journal without its counter is refused
        earlier = _by_attempt(lines)
        attempt = Attempt(self, lines, sum(earlier.values()), max(earlier, default=0) + 1, processes)
        attempt.begin()
        try:
            yield attempt
        finally:
            attempt.end()

    def carry(self, device_seconds: float) -> None:
        """Count what attempts elsewhere spent, as one attempt. Errors: those of `read`, and of writing."""
        lines = self.read()
        if not lines:
            self.count([])
        earlier = _by_attempt(lines)
        attempt = Attempt(self, lines, sum(earlier.values()), max(earlier, default=0) + 1, 0)
        attempt.tidy()
        attempt.append(device_seconds)

    def _chained(self) -> list[JournalLine]:
        if not os.path.lexists(self.path):
            return []
        before, lines = self.path.name, list[JournalLine]()
        for number, text in enumerate(read_regular(self.path).split(b"\n")[:-1], start=1):
            try:
                line = JournalLine(**json.loads(text))
                sealed = is_sealed(line.seal, self.key, before.encode(), line.signed())
            except (ValueError, TypeError, RecursionError):
                sealed = False
            if not sealed:
                raise LamarckError(self._refused(f"was edited in line {number}, or written elsewhere"))
            before = line.seal
            lines.append(line)
        return lines

    def _refused(self, why: str) -> str:
        return (
            f"the journal {self.path} {why}, so what is left of the ceiling is not known: restore it, or have a new "
            "plan approved, which starts its own"
        )


@dataclass
class Attempt:
    """One attempt at work, whose seconds a thread of its own writes: a step may take longer than a second."""

    journal: Journal
    lines: list[JournalLine]
    before: float  # device-seconds of the attempts before
    number: int
    processes: int
    _started: float = field(default_factory=time.perf_counter)
    _ended: threading.Event = field(default_factory=threading.Event)
    _error: LamarckError | None = None
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        self.tidy()
        self._write(AHEAD)
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._keep_writing, daemon=True)
        self._thread.start()

    def tidy(self) -> None:
        path = self.journal.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():  # without the half line that a kill may have left
                content = path.read_bytes()
                os.truncate(path, content.rfind(b"\n") + 1)
        except OSError as error:
            raise LamarckError(f"cannot write {path}: {error.strerror}") from error

    def spent(self) -> float:
        """Device-seconds of all attempts until now. Errors: LamarckError where they cannot be written down."""
        if self._error:
            raise self._error
        return self.before + self._own()

    def end(self) -> None:
        """What was written in advance and not spent is given back. Errors: LamarckError."""
        self._ended.set()
        assert self._thread
        self._thread.join()
        if self._error is None:
            self._write(0.0)

    def _own(self) -> float:
        return self.processes * (time.perf_counter() - self._started)

    def _keep_writing(self) -> None:
        while not self._ended.wait(EVERY):
            try:
                self._write(AHEAD)
            except LamarckError as error:
                self._error = error
                return

    def _write(self, ahead: float) -> None:
        self.append(self._own() + self.processes * ahead)

    def append(self, device_seconds: float) -> None:
        """Say what this attempt has spent until now. Errors: LamarckError where it cannot be written down."""
        seconds = round(device_seconds, 3)
        line = JournalLine(self.number, seconds, "")
        before = self.lines[-1].seal if self.lines else self.journal.path.name
        sealed = JournalLine(self.number, seconds, seal(self.journal.key, before.encode(), line.signed()))
        try:
            with self.journal.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(vars(sealed)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LamarckError(f"cannot write {self.journal.path}: {error.strerror}") from error
        self.lines.append(sealed)
        self.journal.count(self.lines)


def spent_directory(child: str) -> Path:
    """Where the journals of a child's plans are: beside the approvals, because they outlive whatever was made."""
    return SPENT / child


def journal_of(child: str, plan: str) -> Journal:
    """The journal of `child`, a generation's name, under the plan with the digest `plan`."""
    return Journal(spent_directory(child) / f"{plan}.jsonl")


def _by_attempt(lines: list[JournalLine]) -> dict[int, float]:
    return {line.attempt: line.device_seconds for line in lines}


def _counted(said: dict[str, object]) -> tuple[bytes, bytes]:
    return str(said.get("lines")).encode(), str(said.get("last")).encode()


def main() -> None:
    """Count what lies in directories of journals, beside which others may be named: called where a pod's came back."""
    for directory in sys.argv[1:]:
        for path in sorted(Path(directory).glob("*.jsonl")):
            journal = Journal(path)
            journal.count(journal.read(uncounted=True))


if __name__ == "__main__":
    exit_with_sentence(main)
