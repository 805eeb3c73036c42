"""Where the files of a lineage lie, what a generation's digest is, and the record every artifact carries. Light."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lamarck.errors import LamarckError
from lamarck.files import digest_directory, digest_value, read_json

CONTROL = "control/"
CODE_VARIABLE = "LAMARCK_CODE"
RECORDED_PACKAGES = ("lamarck", "torch", "transformers", "peft", "lm_eval", "tokenizers", "numpy")


@dataclass(frozen=True)
class Generation:
    """gN of the lineage under `prefix` ("" is the main lineage; "control/", "search/r1/c03/" are others).

    Every path is relative to the project's root. A control arm shares the plan and the approval of the lineage it
    controls: one yes covers both runs.
    """

    number: int
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}g{self.number}"

    @property
    def directory(self) -> Path:
        return Path("results") / self.name

    @property
    def is_control(self) -> bool:
        return self.prefix.endswith(CONTROL)

    @property
    def parent(self) -> "Generation":
        """g(N-1); every lineage starts from the one founder."""
        if self.number == 0:
            raise LamarckError("g0 is the founder: it has no parent")
        return Generation(self.number - 1, self.prefix if self.number > 1 else "")

    @property
    def line(self) -> list["Generation"]:
        """Itself and its forebears, the founder first."""
        return [*self.parent.line, self] if self.number else [self]

    @property
    def planned_by(self) -> "Generation":
        """The generation whose plan and approval cover this one."""
        return Generation(self.number, self.prefix.removesuffix(CONTROL))

    @property
    def control(self) -> "Generation":
        return Generation(self.number, self.prefix + CONTROL)

    @property
    def weights(self) -> Path:
        return Path("results/g0/weights")

    @property
    def adapter(self) -> Path:
        return self.directory / "adapter"

    @property
    def curriculum(self) -> Path:
        return self.directory / "curriculum.jsonl"

    @property
    def card(self) -> Path:
        return self.directory / "curriculum.json"

    @property
    def dataset_card(self) -> Path:
        return self.directory / "curriculum.md"

    @property
    def plan(self) -> Path:
        return self.planned_by.directory / "plan.json"

    @property
    def approval(self) -> Path:
        return Path("approvals") / f"{self.planned_by.name}.ok"

    @property
    def scores(self) -> Path:
        return self.directory / "eval.json"

    @property
    def samples(self) -> Path:
        return self.directory / "samples.jsonl"

    @property
    def scores_record(self) -> Path:
        return self.directory / "eval.record.json"

    @property
    def published(self) -> Path:
        """Where it stands that the trained generation, its control arm's with it, is on the hub."""
        return self.planned_by.directory / "published.json"

    @property
    def published_scores(self) -> Path:
        """The same of its scores, which come later."""
        return self.planned_by.directory / "published.scores.json"


def parse_generation(name: str) -> Generation:
    """`g2`, `control/g1`, `search/r1/c03/g2` -> Generation."""
    match = re.fullmatch(r"((?:[\w-]+/)*)g(\d+)", name)
    if not match:
        raise LamarckError(f"{name!r} is not a generation: write g1, g2, ... or control/g1")
    return Generation(int(match[2]), match[1])


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
    human_edited: HumanEdit | None = Field(None, exclude_if=lambda edit: edit is None)


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
    """Commit and dirty flag of the working directory; None where it is no git checkout.

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


def package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


WEIGHTS_RECORD = "source.json"
STUDENT = Path("results/g0/student")  # whom every generation teaches in the suite's third tier
ADAPTER_RECORD = "training.json"


def weights_digest(weights: Path) -> str:
    """Digest of the founder's model directory, its record left out."""
    return digest_directory(weights, skip=[WEIGHTS_RECORD])


def adapter_digest(adapter: Path) -> str:
    """Digest of a PEFT adapter directory, its record left out."""
    return digest_directory(adapter, skip=[ADAPTER_RECORD])


def model_digest(weights: Path, adapter: Path | None) -> str:
    """Digest of gN: the founder's weights and, for N >= 1, its one adapter."""
    return digest_of_parts(weights_digest(weights), None if adapter is None else adapter_digest(adapter))


def digest_of_parts(weights: str, adapter: str | None) -> str:
    """`model_digest` where the digests of its parts are known already."""
    return digest_value({"weights": weights} if adapter is None else {"weights": weights, "adapter": adapter})


def generation_digest(generation: Generation) -> str:
    return model_digest(generation.weights, generation.adapter if generation.number else None)


def served_name(generation: Generation, model: str) -> str:
    """What a server calls a generation whose model has the digest `model`: g2-0123456789ab."""
    return f"{generation.name}-{model[:12]}"


def is_name_of(name: str, model: str) -> bool:
    """Whether a served model's name says that it is the one with the digest `model`."""
    return re.fullmatch(rf"(?:[\w-]+/)*g\d+-{model[:12]}", name) is not None


FROZEN = "FROZEN"
NOT_MEASURED = ("README.md", "ERRATA.md", FROZEN)  # of a suite's files, those that change no score


def suite_digest(suite: Path) -> str:
    """One digest over every file of a suite: tasks, held-out items, weights. Errors: LamarckError if absent."""
    if not (suite / "suite.yaml").exists():
        raise LamarckError(f"{suite} is no suite: it has no suite.yaml")
    return digest_directory(suite, skip=NOT_MEASURED)


def read_record(path: Path, key: str = "record") -> Record:
    """The `record` of a JSON file. Errors: LamarckError when the file or its record is missing or malformed."""
    content = read_json(path)
    try:
        return Record.model_validate(content[key])
    except (KeyError, TypeError, ValueError) as error:
        raise LamarckError(
            f"{path} carries no valid record: restore it with `dvc pull`, or delete it and rerun"
        ) from error
