"""Is an artifact still what its inputs make? Decided by content, never by clocks. Light: no torch.

Every record lists the digests of the inputs that decided its artifact's bytes. An artifact is *whole* when its bytes
match its record and that list equals the one computed from the files as they are now. This holds after `git clone` and
`dvc pull`, where modification times say nothing. Snakemake makes again what is not whole: times.py tells it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.lineage.artifacts import CURRICULUM, TRAINED, arms, table
from lamarck.lineage.configured import config_of
from lamarck.lineage.digest import short
from lamarck.lineage.generation import CAMPAIGNS, FOUNDERS, RESULTS, Generation, first_number
from lamarck.lineage.kind import Kind
from lamarck.lineage.listing import crossed_generations, generations_in
from lamarck.lineage.records import Record, read_record

BENCHMARKS = {"curriculum": "curriculum", "scores": "eval"} | {kind.name: f"train.{kind.form}" for kind in TRAINED}
BYTES_DIFFER = "its bytes differ from its record"
MISSING = "missing"

# absent: never made. missing: its record is there and it is not, or the reverse. unreadable: its record is damaged.
# altered: its bytes are not what its record states. outdated: an input is another one than its record names.
State = Literal["whole", "absent", "missing", "unreadable", "altered", "outdated"]
BROKEN: tuple[State, ...] = ("missing", "unreadable", "altered")


@dataclass(frozen=True)
class Artifact:
    """One artifact as it lies there. `stated` is the digest in its record, `found` that of its bytes."""

    kind: Kind
    generation: Generation
    state: State
    reason: str = ""
    record: Record | None = None
    found: str | None = None
    changed: Mapping[str, str | None] = field(default_factory=dict)  # input that is another one -> its digest now
    torn: bool = False  # outdated by another artifact, not by a setting: the pieces here do not belong together

    @property
    def name(self) -> str:
        return f"{self.generation.name}/{self.kind.path(self.generation).name}"

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(self.kind.paths(self.generation).values())

    @property
    def stale(self) -> str | None:
        """Why a rule has to make it again; None when it is fresh."""
        return None if self.state == "whole" else self.reason

    @property
    def stated(self) -> str | None:
        return self.record.digest if self.record else None

    @property
    def benchmark(self) -> Path:
        """Where the rule's `benchmark:` lies: Snakemake takes its time for an output's."""
        return Path("logs") / self.generation.name / f"{BENCHMARKS.get(self.kind.name, self.kind.name)}.tsv"


def survey(config: Config, lineage: str = "") -> list[Artifact]:
    """Every artifact that the lineage has or is meant to have, in the order in which the rules make them."""
    config = config_of(config, lineage)
    return [examine(kind, generation, config) for kind, generation in members(config, lineage)]


def survey_crosses(config: Config) -> list[Artifact]:
    """The same of every lineage in which a child of two parents is described, those of campaigns apart; its founder is
    another lineage's."""
    return [examine(kind, generation, own) for own, kind, generation in members_of_crosses(config)]


def survey_campaigns(config: Config) -> list[Artifact]:
    """What lies in the lineages of campaigns and in their founders, but for a ratchet's nights, which nobody keeps.

    By what lies there alone: what is configured today need not be what they were raised with. `config`: the project's.
    """
    lying = [each for room in (CAMPAIGNS, FOUNDERS) for each in generations_in(RESULTS / room)]
    kept = [each for each in lying if not ((step := each.campaign_step) and step.night)]
    own = {lineage: config_of(config, lineage) for lineage in dict.fromkeys(each.lineage for each in kept)}
    return [examine(kind, each, None) for each in kept for kind in table(own[each.lineage]) if kind.belongs_to(each)]


def members_of_crosses(config: Config) -> Iterator[tuple[Config, Kind, Generation]]:
    """Every kind and generation of those lineages, with the configuration of each. `config`: the project's."""
    lineages = dict.fromkeys(each.lineage for each in crossed_generations() if each.campaign_step is None)
    for lineage in lineages:
        own = config_of(config, lineage)
        yield from ((own, kind, generation) for kind, generation in members(own, lineage) if generation.number)


def members(config: Config, lineage: str = "") -> Iterator[tuple[Kind, Generation]]:
    """Every kind and generation that the lineage has or is meant to have. `config`: its own."""
    founder = Generation(1, lineage).founder
    for number in (0, *range(first_number(lineage), config.generations + 1)):
        generation = Generation(number, lineage) if number else founder
        for kind in table(config):
            for arm in arms(config, generation):
                if kind.is_made_for(config, arm):
                    yield kind, arm


def examine(kind: Kind, generation: Generation, config: Config | None) -> Artifact:
    """What lies there, and whether it is what its inputs make now.

    `config`: the lineage's own; without it only the lineage's other artifacts are looked at, and no setting.
    """
    try:
        return _examine(kind, generation, config)
    except LamarckError as error:
        return Artifact(kind, generation, "unreadable", str(error))
    except OSError as error:
        return Artifact(kind, generation, "outdated", f"{error.filename} {_cannot(error)}", torn=True)


def is_whole_line(kind: Kind, generation: Generation, config: Config) -> bool:
    """Whether an artifact, and whatever it is made from back to the founder, is what the inputs make now.

    `config`: the project's. For asking in the middle of a run, where scores may fit a child that has yet to change.
    """
    line = dict.fromkeys(
        arm for each in generation.ancestors for arm in (each, each.planned_by, each.planned_by.control)
    )
    makers: dict[Path, tuple[Kind, Generation, Config]] = {}
    for each in (*line, Generation(0)):
        own = config_of(config, each.lineage)
        for made in table(own):
            if made.is_made_for(own, each):
                makers |= dict.fromkeys(made.paths(each).values(), (made, each, own))

    seen: set[tuple[str, str]] = set()

    def is_whole(made: Kind, each: Generation, own: Config) -> bool:
        if (made.name, each.name) in seen:
            return True
        seen.add((made.name, each.name))
        below = [makers[path] for paths in made.input_files(own, each).values() for path in paths if path in makers]
        return examine(made, each, own).state == "whole" and all(is_whole(*found) for found in below)

    return is_whole(kind, generation, config_of(config, generation.lineage))


def _cannot(error: OSError) -> str:
    return "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"


def _examine(kind: Kind, generation: Generation, config: Config | None) -> Artifact:
    if kind.digest is None:
        return _without_record(kind, generation, config)
    record_file = kind.record_file(generation)
    there = {path: path.exists() for path in (*kind.paths(generation).values(), record_file)}
    if not any(there.values()):
        return Artifact(kind, generation, "absent", MISSING)
    record = read_record(record_file) if there[record_file] else None
    if not all(there.values()):
        return Artifact(kind, generation, "missing", MISSING, record)
    assert record  # it is there
    found = kind.digest(generation)
    if found != record.digest:
        return Artifact(kind, generation, "altered", BYTES_DIFFER, record, found)
    changed, torn = _changed_inputs(kind, generation, config, record)
    if changed:
        reason = f"changed since: {', '.join(changed)}"
        return Artifact(kind, generation, "outdated", reason, record, found, changed, torn)
    return Artifact(kind, generation, "whole", "", record, found)


def _without_record(kind: Kind, generation: Generation, config: Config | None) -> Artifact:
    assert kind.why_stale  # whatever has no record says so itself
    if config is None:
        return Artifact(kind, generation, "whole" if kind.path(generation).exists() else "absent", MISSING)
    reason = kind.why_stale(config, generation)
    if reason is None:
        return Artifact(kind, generation, "whole")
    return Artifact(kind, generation, "absent" if reason == MISSING else "outdated", reason)


def _changed_inputs(
    kind: Kind, generation: Generation, config: Config | None, record: Record
) -> tuple[dict[str, str | None], bool]:
    """The inputs that are others now than the record lists, and whether one of them is another artifact."""
    pieces = kind.piece_digests(config, generation)
    now = pieces if config is None else kind.input_digests(config, generation)
    settled = kind.once_trained if generation.change.exists() else frozenset()
    differing = [name for name in record.differing(now) if name not in settled]
    # Without a configuration only the files are known, and nothing of what else the record lists.
    changed = {name: now.get(name) for name in differing if config is not None or name in now}
    return changed, bool(pieces.keys() & changed.keys())


def hold(kind: Kind, generation: Generation, made_from: Mapping[str, str]) -> Record:
    """The record of an artifact that is there, is what the record states, and was made from these inputs.

    `made_from`: name of an input -> its digest; those that the artifact does not have are passed over.
    Errors: LamarckError with what does not hold.
    """
    record_file = kind.record_file(generation)
    assert kind.digest  # only what has a record can hold
    for path in (*kind.paths(generation).values(), record_file):
        if not path.exists():
            raise LamarckError(f"{path} is missing: restore it with `dvc pull`, or let `snakemake` make it again")
    record = read_record(record_file)
    if record.digest != kind.digest(generation):
        raise LamarckError(
            f"{kind.path(generation)} is not what its record says: restore it with `dvc checkout`, or let `snakemake` "
            "make it again"
        )
    for name, digest in made_from.items():
        if name in record.inputs and record.inputs[name] != digest:
            raise LamarckError(
                f"{kind.path(generation)} was made from another {name} than the one that is there: `lamarck status` "
                "says more"
            )
    return record


def keep_edits(artifacts: Iterable[Artifact]) -> list[str]:
    """Copy every curriculum whose bytes were changed by hand to a file beside it, before it is made again.

    Returns a sentence for each.
    """
    sentences = []
    for artifact in artifacts:
        if artifact.kind is CURRICULUM and artifact.state == "altered" and artifact.found:
            curriculum = artifact.generation.curriculum
            kept = curriculum.with_name(f"curriculum.edited-{short(artifact.found)}.jsonl")
            if not kept.exists():
                write_text(kept, curriculum.read_text(encoding="utf-8"))
            sentences.append(
                f"{curriculum} was edited by hand and is made again; your version is kept in {kept}: "
                f"`lamarck review {artifact.generation.planned_by.name} --edit` is the way to change items"
            )
    return sentences
