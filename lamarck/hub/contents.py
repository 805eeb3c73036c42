"""What a published lineage consists of: the files of its generations, at the paths that they have in a project."""

import re
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lamarck.errors import LamarckError
from lamarck.files import digest_file, file_digests, read_json
from lamarck.gate.signature import signature_of
from lamarck.lineage.artifacts import SCORES, TABLE
from lamarck.lineage.generation import CONTROL, WEIGHTS_RECORD, Generation, parse_generation

MANIFEST = "lamarck.json"
# Data only: nothing that a library would run, and no name that leaves the directory it stands in.
DATA = r"\w[\w.-]*\.(safetensors|json|jinja|txt|model)"


def allowed_paths() -> re.Pattern[str]:
    """Paths that a published lineage may have: those of the table of artifacts, and approvals."""
    patterns = [r"approvals/g[1-9]\d*\.ok(\.sig)?"]
    for kind in filter(lambda kind: kind.published, TABLE):
        generation = {"founder": "g0", "child": r"g[1-9]\d*", "every": r"g\d+"}[kind.made_for]
        arm = "" if kind.for_both_arms or kind.made_for == "founder" else f"({CONTROL}/)?"
        for path in kind.files.values():
            inside = "" if Path(path).suffix else f"/{DATA}"
            patterns.append(f"results/{arm}{generation}/{re.escape(path)}{inside}")
    return re.compile("|".join(patterns))


SHA256 = re.compile(r"[0-9a-f]{64}")


class Manifest(BaseModel):
    """lamarck.json, at the root of a repository: what was published there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    generation: str = Field(pattern=r"^g\d+$", description="The last generation of the lineage.")
    files: dict[str, str] = Field(description="Path -> sha256.")

    @property
    def last(self) -> Generation:
        return parse_generation(self.generation)

    def of(self, generation: Generation) -> dict[str, str]:
        """The files of one generation, its control arm's and its approval's with them."""
        own = (f"{generation.directory}/", f"{generation.control.directory}/", str(generation.approval))
        return {path: digest for path, digest in self.files.items() if path.startswith(own)}


def read_manifest(path: Path) -> Manifest:
    """Errors: LamarckError where it is not a manifest, or names what no lineage has: it may come from anywhere."""
    try:
        manifest = Manifest.model_validate(read_json(path))
    except ValidationError as error:
        raise LamarckError(f"its {MANIFEST} is not one of a published lineage") from error
    allowed = allowed_paths()
    for name, digest in manifest.files.items():
        if not allowed.fullmatch(name) or not SHA256.fullmatch(digest):
            raise LamarckError(f"its {MANIFEST} names {name!r}, which no lineage has")
        number = int(re.findall(r"g(\d+)", name)[0])
        if number > manifest.last.number:
            # An approval that comes before its adapter would open a gate here.
            raise LamarckError(f"its {MANIFEST} names {name!r}, which is later than {manifest.generation}")
    return manifest


def members(root: Path, last: Generation) -> list[Generation]:
    """The generations from g0 to `last`, in order, each followed by its control arm where it has one."""
    found = [Generation(0)]
    for number in range(1, last.number + 1):
        child = Generation(number)
        found += [child, child.control] if child.control.find_change(root).exists() else [child]
    return found


def make_manifest(root: Path, last: Generation, unscored: set[str], withheld: set[Path]) -> Manifest:
    """Digests of everything that belongs to the lineage up to `last`.

    `unscored`: names of generations whose scores are missing, or another model's. `withheld`: model directories of
    which only the record is published: they were not made here, so they have a place and terms of their own.
    """
    files: dict[str, str] = {}
    for member in members(root, last):
        for kind in filter(lambda kind: kind.published, TABLE):
            if not kind.belongs_to(member) or (kind is SCORES and member.name in unscored):
                continue
            for path in kind.paths(member).values():
                files |= _digests(root, path, path in withheld)
        if member.number and not member.is_control:
            files |= _digests(root, member.approval) | _digests(root, signature_of(member.approval))
    allowed = allowed_paths()
    unknown = next((name for name in sorted(files) if not allowed.fullmatch(name)), None)
    if unknown:
        raise LamarckError(f"{unknown} belongs to no lineage: move it away")
    return Manifest(generation=last.name, files=dict(sorted(files.items())))


def _digests(root: Path, path: Path, only_record: bool = False) -> dict[str, str]:
    """Path -> sha256 of a file, or of those in a directory, as far as they are there."""
    if not (root / path).is_dir():
        return {path.as_posix(): digest_file(root / path)} if (root / path).exists() else {}
    skip = {file.name for file in (root / path).iterdir()} - {WEIGHTS_RECORD} if only_record else set()
    return {(path / name).as_posix(): digest for name, digest in file_digests(root / path, skip).items()}


def unit_of(name: str) -> PurePosixPath:
    """What of a lineage is put in place as one: a directory with its record, or a file."""
    path = PurePosixPath(name)
    directories = {file for kind in TABLE for file in kind.files.values() if not PurePosixPath(file).suffix}
    return path.parent if path.parent.name in directories else path
