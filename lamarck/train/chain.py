"""Checkpoints that cost what changed: a folder with one full state and the differences that follow it.

    0000000100.full.safetensors    0000000200.delta.safetensors    0000000300.delta.safetensors    ...

Files are written beside their place and moved there, and none is changed afterwards: a kill at any moment leaves a
chain that can be read, up to its last file. A new full state begins a new chain where a difference would gain little,
and once the differences are as large as the full state: a restart reads twice the model at most. The files of the
chain before it are deleted after that.
"""

import fcntl
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch

from lamarck.errors import LamarckError
from lamarck.models.delta import (
    Facts,
    Tensors,
    apply_delta,
    changed_bytes,
    held,
    read_facts,
    read_full,
    state_digest,
    write_delta,
    write_full,
)

WORTHWHILE = 0.75  # A difference that takes a larger share of the full state's bytes is not written: that is.


@dataclass(frozen=True)
class Checkpoint:
    """A state as a chain gives it back, verified, and the small facts (JSON) that were written with it."""

    step: int
    tensors: dict[str, torch.Tensor]
    digest: str
    notes: dict[str, Any]
    files: tuple[Path, ...]  # that it was read from, in their order


@dataclass(frozen=True)
class Written:
    path: Path
    kind: Literal["full", "delta"]
    bytes: int


def read_chain(directory: Path) -> Checkpoint | None:
    """The last state in `directory`; None where there is no chain.

    Errors: LamarckError for a missing or damaged file, for one that starts from another state, and when the digest of
    what they lead to is not the one that was written.
    """
    files = sorted(directory.glob("[0-9]*.safetensors")) if directory.is_dir() else []
    if not files:
        return None
    begins = max((place for place, path in enumerate(files) if path.name.endswith(".full.safetensors")), default=None)
    if begins is None:
        raise LamarckError(
            f"{directory} holds differences and no full state that they start from: restore it from a copy"
        )
    last, *rest = files[begins:]
    facts, state = read_facts(last), read_full(last)
    for path in rest:
        link = read_facts(path)
        if link.after != last.name and not (directory / str(link.after)).exists():
            raise LamarckError(
                f"{directory} has a hole: {path.name} follows {link.after}, which is missing; restore it from a copy, "
                f"or delete {path.name} and what follows to go on from step {facts.step}"
            )
        if link.after != last.name or link.base != facts.result:
            raise LamarckError(
                f"{path} is a difference to another state than that of {last.name}: delete it and what follows, "
                f"to go on from step {facts.step}"
            )
        state = apply_delta(path, state)
        last, facts = path, link
    if state_digest(state) != facts.result:
        raise LamarckError(
            f"{directory} is damaged: what its files lead to is not what was written at step {facts.step}; restore it "
            "from a copy"
        )
    return Checkpoint(facts.step, state, facts.result, facts.notes, tuple(files[begins:]))


class Chain:
    """Writes a chain; it is one trainer's as long as it is open. `latest` is the state that it goes on from, if any.

    A copy of the last state written is held in memory to compare the next one with.
    Errors: LamarckError where another process has it open, and those of `read_chain`.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock = (directory / ".lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise LamarckError(
                f"another training is writing its checkpoints to {directory}: wait for it, or stop it"
            ) from error
        try:
            for leftover in directory.glob(".*.partial"):  # of a killed run
                shutil.rmtree(leftover)
            self.latest = read_chain(directory)
        except BaseException:
            self.close()
            raise
        self._files = list(self.latest.files) if self.latest else []
        for old in sorted(set(directory.glob("[0-9]*.safetensors")) - set(self._files), reverse=True):
            old.unlink()  # of the chain before, where a kill left it
        self._last = (self.latest.tensors, self.latest.digest) if self.latest else None

    def write(self, step: int, tensors: Tensors, notes: Callable[[str], Mapping[str, Any]]) -> Written:
        """Add the state of `step`, with what `notes` says of its digest. When this returns, it is on the disk.

        Errors: LamarckError when it cannot be written, or is no later than the last; the chain is as it was.
        """
        if self._files and step <= read_facts(self._files[-1]).step:
            raise LamarckError(f"{self.directory} already holds a state of step {step} or later: begin a new folder")
        new = held(tensors)
        digest = state_digest(new)
        kind = self._kind(new)
        path = self.directory / f"{step:010d}.{kind}.safetensors"
        said = dict(notes(digest))
        if self._last is None or kind == "full":
            size = write_full(path, new, Facts(kind="full", base=None, result=digest, step=step, notes=said))
            self._begin_with(path)
        else:
            base, base_digest = self._last
            after = self._files[-1].name
            facts = Facts(kind="delta", base=base_digest, result=digest, step=step, after=after, notes=said)
            size = write_delta(path, base, new, facts)
            self._files.append(path)
        self._last = new, digest
        return Written(path, kind, size)

    def _kind(self, new: Tensors) -> Literal["full", "delta"]:
        if self._last is None:
            return "full"
        full, *deltas = [path.stat().st_size for path in self._files]
        whole = sum(tensor.numel() * tensor.element_size() for tensor in new.values())
        gains_little = changed_bytes(self._last[0], new) > WORTHWHILE * whole
        return "full" if gains_little or sum(deltas) >= full else "delta"

    def _begin_with(self, path: Path) -> None:
        """The chain starts anew at `path`, which is on the disk: the files of the one before are deleted."""
        before, self._files = self._files, [path]
        for old in reversed(before):
            old.unlink()

    def begin_anew(self) -> None:
        """Delete what is there: it is another run's."""
        for old in reversed(self._files):
            old.unlink()
        self._files, self._last, self.latest = [], None, None

    def close(self) -> None:
        self._lock.close()

    def __enter__(self) -> "Chain":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
