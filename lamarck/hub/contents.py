"""What a published lineage consists of: the files of its generations, at the paths that they have in a project.

Of a generation of another lineage than the main one, a child of two parents for one, these are its own and those of
everything that leads to it, with the descriptions that say what its parents are.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.files import digest_file, file_digests, read_json
from lamarck.gate.signature import signature_of
from lamarck.lineage.artifacts import SCORES, TABLE
from lamarck.lineage.generation import (
    CAMPAIGNS,
    CONTROL,
    FOUNDERS,
    SEARCHES,
    WEIGHTS_RECORD,
    Generation,
    described,
    description_file,
    parse_generation,
)

MANIFEST = "lamarck.json"
# Data only: nothing that a library would run, and no name that leaves the directory it stands in.
DATA = r"(README\.md|\w[\w.-]*\.(safetensors|json|jinja|txt|model))"
NOT_A_PERSONS = (CAMPAIGNS, SEARCHES, FOUNDERS)  # rooms of lineages that programs describe, under plans of their own
OTHER = rf"(?:(?!(?:{'|'.join(NOT_A_PERSONS)}|{CONTROL})/)[\w-]+/(?:(?!{CONTROL}/)[\w-]+/)*)"
# Of the configuration, what a description from elsewhere may change: what makes the generations that came with it.
# Where prompts, weights and results are sent to is for the project to say.
OVERLAID = {"generations", "control", "seed", "strategy", "strategies", "suite", "exams", "recipe", "budget"}


def allowed_paths(last: Generation) -> re.Pattern[str]:
    """Paths that a lineage published up to `last` may have: those of the table of artifacts, approvals, and beside the
    main lineage, descriptions."""
    other = f"{OTHER}?" if last.lineage else ""
    patterns = [rf"approvals/{other}g[1-9]\d*\.ok(\.sig)?", *([f"results/{OTHER}lineage\\.yaml"] if other else [])]
    for kind in filter(lambda kind: kind.published, TABLE):
        if kind.made_for == "founder":
            prefix, generation = "", "g0"
        else:
            arm = "" if kind.for_both_arms else f"({CONTROL}/)?"
            prefix, generation = f"{other}{arm}", r"g\d+" if kind.made_for == "every" else r"g[1-9]\d*"
        for path in kind.files.values():
            inside = "" if Path(path).suffix else f"/{DATA}"
            patterns.append(f"results/{prefix}{generation}/{re.escape(path)}{inside}")
    return re.compile("|".join(patterns))


SHA256 = re.compile(r"[0-9a-f]{64}")


class Manifest(BaseModel):
    """lamarck.json, at the root of a repository: what was published there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    generation: str = Field(description="The last generation of the lineage.")
    files: dict[str, str] = Field(description="Path -> sha256.")

    @field_validator("generation")
    @classmethod
    def _is_publishable(cls, generation: str) -> str:
        if not re.fullmatch(rf"{OTHER}?g\d+", generation):
            raise ValueError("not a generation that is published")
        return generation

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
    allowed = allowed_paths(manifest.last)
    for name, digest in manifest.files.items():
        if not allowed.fullmatch(name) or not SHA256.fullmatch(digest):
            raise LamarckError(f"its {MANIFEST} names {name!r}, which no lineage has")
        if any(int(number) > manifest.last.number for number in re.findall(r"/g(\d+)[/.]", name)[-1:]):
            # An approval that comes before its adapter would open a gate here.
            raise LamarckError(f"its {MANIFEST} names {name!r}, which is later than {manifest.generation}")
    return manifest


def members(root: Path, last: Generation) -> list[Generation]:
    """The founder and every generation that leads to `last`, each behind its parents and followed by its control arm
    where it has one. Descriptions are those of the working directory.

    Errors: LamarckError where one of them is not a person's own, or does not go back to the main founder.
    """
    found, waiting = {Generation(0)}, [last]
    while waiting:
        child = waiting.pop().planned_by
        if child in found:
            continue
        found.add(child)
        _check_lineage_of(child)
        waiting += _older_parents(child) + (_older_parents(child.control) if _has_control(root, child) else [])
    ordered = sorted(found, key=lambda each: (each.number, each.lineage))
    return [arm for each in ordered for arm in ([each, each.control] if _has_control(root, each) else [each])]


def _has_control(root: Path, child: Generation) -> bool:
    return bool(child.number) and child.control.find_change(root).exists()


def _older_parents(child: Generation) -> list[Generation]:
    """Errors: LamarckError where a description, which may come from anywhere, would lead round in a circle."""
    for parent in child.parents:
        if parent.number >= child.number:
            raise LamarckError(
                f"{description_file(child.planned_by.lineage)} makes {parent.name} a parent of {child.name}"
            )
    return list(child.parents)


def _check_lineage_of(child: Generation) -> None:
    if child.lineage.partition("/")[0] in NOT_A_PERSONS:
        raise LamarckError(f"{child.name} was raised under the plan of a campaign: such lineages are not published")
    said, file = described(child.lineage), description_file(child.lineage)
    if child.founder != Generation(0):
        raise LamarckError(f"{child.name} has another founder than g0: publish from a checkout whose g0 that is")
    recipe = said.overlay.get("recipe")
    circumstances = Recipe.circumstance & recipe.keys() if isinstance(recipe, dict) else set[str]()
    if others := sorted((said.overlay.keys() - OVERLAID) | {f"recipe.{name}" for name in circumstances}):
        raise LamarckError(
            f"{file} changes `{others[0]}`, which is each project's own: what is published may change "
            f"{', '.join(sorted(OVERLAID))}"
        )


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
            if member.lineage:
                files |= _digests(root, description_file(member.lineage))
    allowed = allowed_paths(last)
    unknown = next((name for name in sorted(files) if not allowed.fullmatch(name)), None)
    if unknown:
        raise LamarckError(f"{unknown} belongs to no lineage: move it away")
    return Manifest(generation=last.name, files=dict(sorted(files.items())))


def check_owned(manifest: Manifest, found: list[Generation]) -> None:
    """Errors: LamarckError for a file that belongs to none of the generations: an approval of one that is not there
    would open a gate."""
    directories = {member.directory.as_posix() for member in found}
    files = set[Path]()
    for member in found:
        files |= {member.approval, signature_of(member.approval), description_file(member.planned_by.lineage)}
    for name in manifest.files:
        path = PurePosixPath(name)
        if Path(name) not in files and directories.isdisjoint(map(str, path.parents)):
            raise LamarckError(f"its {MANIFEST} names {name!r}, which does not lead to {manifest.generation}")


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
