"""The record that every artifact carries: its digest, those of its inputs, and how it came to be. Light."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lamarck.errors import LamarckError
from lamarck.files import read_json

SANITY = "sanity"  # the tier of a suite whose tasks every generation should still be able to do

CODE_VARIABLE = "LAMARCK_CODE"
RECORDED_PACKAGES = ("lamarck", "torch", "transformers", "peft", "lm_eval", "tokenizers", "numpy")


class Code(BaseModel):
    """The revision of this project that made an artifact."""

    commit: str | None
    dirty: bool | None


class HumanEdit(BaseModel):
    """What people did to a curriculum after its teacher had written it, over all edits; counted in problems."""

    model_config = ConfigDict(extra="forbid")

    by: tuple[str, ...]
    written: str = Field(description="Digest of the curriculum as its teacher wrote it.")
    dropped: int
    changed: int

    def sentence(self) -> str:
        return f"Human-edited by {', '.join(self.by)}: {self.dropped} problems dropped, {self.changed} changed."


class TakenIn(BaseModel):
    """A checkpoint of another checkout's, from which a person let a training go on; `digest` is that of its state."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    place: str
    step: int
    digest: str
    by: str


class Record(BaseModel):
    """How an artifact came to be. `inputs` are what decides its bytes; the rest is circumstance."""

    model_config = ConfigDict(extra="forbid")

    digest: str
    inputs: dict[str, str]
    seed: int
    code: Code
    versions: dict[str, str]
    device: str
    wall_seconds: float
    device_seconds: float
    resumed: int = Field(0, ge=0, description="How often a run that was cut off went on from what it had.")
    taken_in: tuple[TakenIn, ...] = Field((), exclude_if=lambda taken: not taken)
    human_edited: HumanEdit | None = Field(None, exclude_if=lambda edit: edit is None)
    written_for: str | None = Field(
        None,
        description="The generation whose curriculum this is: its seconds of writing are counted there alone.",
        exclude_if=lambda name: name is None,
    )

    def differing(self, now: Mapping[str, str]) -> list[str]:
        """Names of the inputs that are others now than the record lists, or stand in one of the two alone."""
        return sorted(name for name in self.inputs.keys() | now.keys() if self.inputs.get(name) != now.get(name))


class Published(BaseModel):
    """Where a generation lies on the hub, and which bytes: the content of published.json."""

    model_config = ConfigDict(extra="forbid")

    repo: str
    commit: str
    files: dict[str, str] = Field(description="Path -> sha256, of the generation's own files and its control arm's.")


def make_record(
    digest: str, inputs: dict[str, str], seed: int, device: str, wall_seconds: float, device_seconds: float
) -> Record:
    return Record(
        digest=digest,
        inputs=inputs,
        seed=seed,
        code=code_state(),
        versions=package_versions(),
        device=device,
        wall_seconds=round(wall_seconds, 3),
        device_seconds=round(device_seconds, 3),
    )


def code_state() -> Code:
    """Commit and dirty flag of the working directory; None where it is not a git checkout.

    A job on another machine, without git's history, has them from its controller.
    """
    if said := os.environ.get(CODE_VARIABLE):
        return Code.model_validate_json(said)
    try:
        commit = _git("rev-parse", "HEAD")
        # Results and approvals change as a lineage grows: only what makes artifacts counts as dirty.
        dirty = bool(
            _git("status", "--porcelain", "--", *(f":/{path}" for path in ("lamarck", "rules", "Snakefile", "config")))
        )
        return Code(commit=commit, dirty=dirty)
    except (OSError, subprocess.CalledProcessError):
        return Code(commit=None, dirty=None)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def distrust(said: str) -> str:
    """A sentence where git's own words say that it does not trust this directory, which is somebody else's; else
    nothing."""
    if "dubious ownership" not in said:
        return ""
    return (
        "git does not trust this directory, since it is somebody else's: `git config --global --add safe.directory DIR`"
    )


def package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def read_record(path: Path, key: str = "record") -> Record:
    """The `record` of a JSON file. Errors: LamarckError when the file or its record is missing or malformed."""
    content = read_json(path)
    try:
        return Record.model_validate(content[key])
    except (KeyError, TypeError, ValueError) as error:
        raise LamarckError(
            f"{path} carries no valid record: restore it with `dvc pull`, or delete it and rerun"
        ) from error


def read_published(path: Path) -> Published:
    """Errors: LamarckError where the file is not valid."""
    try:
        return Published.model_validate(read_json(path))
    except (LamarckError, ValueError) as error:
        raise LamarckError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
