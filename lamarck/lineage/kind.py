"""What a kind of artifact is: its files, its record, and the inputs that decide its bytes. Light."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lamarck.config import Config, Form
from lamarck.errors import LamarckError
from lamarck.files import digest_file, file_digests, read_json
from lamarck.lineage.generation import CAMPAIGNS, RESULTS, Generation

Files = Mapping[str, tuple[Path, ...]]  # name of a rule's input or output -> its files


NONE_GIVEN: Files = {}


def _no_files(config: Config, generation: Generation) -> Files:
    return {}


@dataclass(frozen=True)
class Piece:
    """An input that is another artifact of the lineage.

    `files`: None where an artifact of this generation does not have the input; without a configuration, what lies there
    says in which form it is. `digest`: what the artifact's record must name; None for what only has to be there first.
    """

    name: str
    files: Callable[[Config | None, Generation], Files | None]
    digest: Callable[[Files], str] | None


@dataclass(frozen=True)
class Setting:
    """An input that the configuration decides: settings, and the files that they name. As `Piece` otherwise."""

    name: str
    digest: Callable[[Config, Generation, Files], str] | None
    files: Callable[[Config, Generation], Files | None] = _no_files


Input = Piece | Setting


@dataclass(frozen=True)
class Kind:
    """A kind of artifact. Paths are relative to its generation's directory; the first file is the artifact itself."""

    name: str
    files: Mapping[str, str]
    made_for: Literal["founder", "child", "cross", "every"]  # child: of a curriculum; cross: of two parents
    inputs: tuple[Input, ...]
    digest: Callable[[Generation], str] | None = None  # over its bytes; None: it has no record
    record: str | None = None  # the file that carries its record
    why_stale: Callable[[Config, Generation], str | None] | None = None  # where there is no record
    for_both_arms: bool = False  # a control arm has none of its own
    wanted: Callable[[Config, Generation], bool] = lambda config, generation: True
    before_gate: bool = False  # what the gate of its generation is asked about
    published: bool = True
    dvc: Mapping[str, Literal["out", "metric"]] = field(default_factory=dict)
    once_trained: frozenset[str] = frozenset()  # inputs that no longer count when the child is there
    form: Form | None = None  # of the child that it is

    def paths(self, generation: Generation) -> dict[str, Path]:
        """Name of a rule's output -> its file."""
        return {name: generation.directory / path for name, path in self.files.items()}

    def path(self, generation: Generation) -> Path:
        """The artifact itself."""
        return next(iter(self.paths(generation).values()))

    def contents(self, generation: Generation) -> dict[str, str]:
        """Path -> sha256 of its files, directories walked, as far as they are there."""
        found: dict[str, str] = {}
        for path in self.paths(generation).values():
            if path.is_dir():
                found |= {str(path / name): digest for name, digest in file_digests(path).items()}
            elif path.exists():
                found[str(path)] = digest_file(path)
        return found

    def record_file(self, generation: Generation) -> Path:
        """The file that carries its record. Errors: LamarckError for a kind without one."""
        if self.record is None:
            raise LamarckError(f"{self.name} carries no record")
        return generation.directory / self.record

    def made_for_number(self, generation: Generation) -> bool:
        """Whether a generation of this number and arm has one, where the configuration wants it."""
        if self.for_both_arms and generation.is_control:
            return False
        if self.made_for == "every" or not generation.number:
            return self.made_for in ("every", "founder")
        return self.made_for == ("cross" if generation.is_crossed else "child")

    def belongs_to(self, generation: Generation) -> bool:
        """Whether a generation has one, as it was planned: a child is there in one form."""
        return self.made_for_number(generation) and self.form in (None, generation.form)

    def is_made_for(self, config: Config, generation: Generation) -> bool:
        return self.made_for_number(generation) and self.wanted(config, generation)

    def input_files(self, config: Config, generation: Generation) -> Files:
        """Every file that it is made from: name of a rule's input -> its files."""
        found: dict[str, tuple[Path, ...]] = {}
        for each in self.inputs:
            found |= each.files(config, generation) or {}
        return found

    def piece_digests(self, config: Config | None, generation: Generation, given: Files = NONE_GIVEN) -> dict[str, str]:
        """What its record must list of the lineage's other artifacts, as they are now.

        `given`: where files lie instead of at their usual places. Errors: LamarckError or OSError for what is missing
        or damaged.
        """
        found = {}
        for each in self.inputs:
            if isinstance(each, Piece) and each.digest and (files := each.files(config, generation)) is not None:
                found[each.name] = each.digest(_replaced(files, given))
        return found

    def input_digests(self, config: Config, generation: Generation, given: Files = NONE_GIVEN) -> dict[str, str]:
        """What its record must list: the other artifacts, and the settings. As `piece_digests` otherwise."""
        return self.piece_digests(config, generation, given) | self.setting_digests(config, generation, given)

    def setting_digests(self, config: Config, generation: Generation, given: Files = NONE_GIVEN) -> dict[str, str]:
        """What its record must list of what the configuration decides. As `piece_digests` otherwise."""
        found = {}
        for each in self.inputs:
            if isinstance(each, Setting) and each.digest and (files := each.files(config, generation)) is not None:
                found[each.name] = each.digest(config, generation, _replaced(files, given))
        return found


def _replaced(files: Files, given: Files) -> Files:
    return {name: given.get(name, paths) for name, paths in files.items()}


OLDER = "made from older results"


@dataclass(frozen=True)
class CampaignKind:
    """A kind of artifact that a campaign has. Paths are relative to the campaign's directory; the first file is the
    artifact itself, and says under `made_from` of which bytes it is made."""

    name: str
    files: Mapping[str, str]
    inputs: Callable[[str], Mapping[str, Path]]

    def paths(self, campaign: str) -> dict[str, Path]:
        """Name of the rule's output -> its file."""
        return {name: RESULTS / CAMPAIGNS / campaign / path for name, path in self.files.items()}

    def path(self, campaign: str) -> Path:
        """The artifact itself."""
        return next(iter(self.paths(campaign).values()))

    def made_here(self) -> list[str]:
        """Names of the campaigns of which there is one."""
        return sorted(path.parent.name for path in (RESULTS / CAMPAIGNS).glob(f"*/{next(iter(self.files.values()))}"))

    def made_from(self, campaign: str) -> dict[str, str]:
        """Name of an input -> its digest. Errors: OSError for one that is missing."""
        return {name: digest_file(path) for name, path in self.inputs(campaign).items()}

    def why_stale(self, campaign: str) -> str | None:
        """Why the rule has to make it again; None when it is fresh."""
        if not all(path.exists() for path in self.paths(campaign).values()):
            return "missing"
        try:
            said = read_json(self.path(campaign))
            stated = said.get("made_from") if isinstance(said, dict) else None
            return None if stated == self.made_from(campaign) else OLDER
        except (LamarckError, OSError) as error:
            return str(error)
