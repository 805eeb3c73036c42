"""What Snakemake takes for modification times: the order that content says, without touching a file.

Snakemake decides by times alone what is to be made again. So it is given times that mean content: whole artifacts lie
in the order of the chain, stale ones before everything, and files that no rule makes decide nothing, since an artifact
that one of them outdates is stale already. What this run makes has its own time, which is later than all of these.
What was made from that, and is what it makes now, moves behind it: a plan that was made again and came out as it was
costs no training.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lamarck.config import Config
from lamarck.files import SNAKEMAKE_MARKER
from lamarck.lineage.configured import config_of
from lamarck.lineage.freshness import Artifact, examine

STALE = 1.0  # seconds since the epoch: before everything
UNTIMED = 2.0  # of a file that was there and is no artifact: later than what is stale, before all that is whole
MARGIN = 1.0  # file systems round times down
STEP = 0.001  # an output as old as its input would count as outdated


@dataclass(frozen=True)
class Made:
    """The files of one artifact, and whether it has to be made again.

    `inputs`: the files that it is made from. `is_whole`: is it what they make, as they are when it is asked?
    """

    files: tuple[Path, ...]
    stale: bool
    inputs: tuple[Path, ...]
    is_whole: Callable[[], bool]


def made(artifact: Artifact, config: Config) -> Made:
    """What `artifact` is for Snakemake. `config`: that of the whole checkout."""
    kind, generation = artifact.kind, artifact.generation
    own = config_of(config, generation.lineage)
    inputs = tuple(path for paths in kind.input_files(own, generation).values() for path in paths)
    files = (*artifact.files, artifact.benchmark)
    return Made(files, bool(artifact.stale), inputs, lambda: examine(kind, generation, own).stale is None)


Identity = tuple[int, int, int, int]


class ContentTimes:
    """Path -> time, as content says, for as long as a file is the one that was there at the start of the run."""

    def __init__(self, artifacts: Iterable[Made]) -> None:
        """`artifacts`: in the order in which they are made from one another; a founder of several lineages counts where
        it comes first."""
        first: dict[tuple[Path, ...], Made] = {}
        for each in artifacts:
            first.setdefault(each.files, each)
        self._artifacts = list(first.values())
        self._start = time.time()
        begin = self._start - MARGIN - STEP * len(self._artifacts)
        self._times: dict[str, float] = {}
        self._before: dict[str, Identity | None] = {}
        self._looked: dict[Path, Identity] = {}
        for place, artifact in enumerate(self._artifacts):
            for path in artifact.files:
                name = os.path.normpath(path)
                self._times[name] = STALE if artifact.stale else begin + STEP * place
                self._before[name] = _identity(name)

    def of(self, path: str) -> float:
        """Seconds since the epoch. Errors: FileNotFoundError where there is no such file."""
        name = os.path.normpath(path)
        identity = _identity(name)
        if identity is None:
            raise FileNotFoundError(path)
        if name in self._times:
            if identity == self._before[name]:
                return self._times[name]
            return _changed(identity)
        return _changed(identity) if _changed(identity) >= self._start else UNTIMED

    def look_again(self, path: Path) -> None:
        """`path` may have been made in this run: what is older than its inputs, and whole nevertheless, moves behind
        them."""
        identity = _identity(os.path.normpath(path))
        if identity is None or _changed(identity) < self._start or self._looked.get(path) == identity:
            return
        self._looked[path] = identity
        for artifact in self._artifacts:
            own = [os.path.normpath(each) for each in artifact.files]
            newest = max((self.of(str(each)) for each in artifact.inputs if each.exists()), default=STALE)
            untouched = all(_identity(name) == self._before[name] for name in own)
            if untouched and newest > min(self._times[name] for name in own) and artifact.is_whole():
                self._times |= dict.fromkeys(own, newest + STEP)


def _changed(identity: Identity) -> float:
    """When a file was made in this run: its change time, since no program can set that."""
    return identity[-1] / 1e9


def _identity(path: str) -> Identity | None:
    """Inode, size, modification and change time; of a directory those of the marker that Snakemake leaves in it."""
    try:
        found = os.stat(path)
        if os.path.isdir(path):
            marker = os.path.join(path, SNAKEMAKE_MARKER)
            found = os.stat(marker) if os.path.exists(marker) else found
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def decide_by(times: ContentTimes) -> None:
    """Let Snakemake, in this process, ask `times` instead of the file system.

    It has no setting for that: with `rerun-triggers: [mtime]` every decision comes from this one method.
    """
    from snakemake.io import _IOFile
    from snakemake_interface_storage_plugins.io import Mtime

    async def mtime_uncached(file: _IOFile, skip_storage: bool = False) -> Mtime:
        return Mtime(local=times.of(str(file.file)))

    _IOFile.mtime_uncached = mtime_uncached  # type: ignore[method-assign,unused-ignore]
