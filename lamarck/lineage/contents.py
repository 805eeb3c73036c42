"""What stands in eval.json, samples.jsonl, curriculum.json, training.json, source.json and leaderboard.json. Light.

Typed where it is written, and where it is read.

Fields with a default are missing in files from before they were written down. What stands there beside the fields that
are named here is left as it is.
"""

from pathlib import Path
from typing import Any, Literal, NotRequired, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # the one that pydantic reads before Python 3.12

from lamarck.errors import LamarckError
from lamarck.files import parse_jsonl, read_json, read_jsonl, read_regular
from lamarck.lineage.records import Record


class Content(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    def written(self) -> dict[str, Any]:
        """What goes into the file: no field that was not given."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)


class NamedDigest(Content):
    name: str
    digest: str


class TierFigures(Content):
    """Points of 0..100; None where a task could not run."""

    score: FiniteFloat | None
    weight: FiniteFloat


class TaskFigures(Content):
    """Points of 0..100 over `n` items, and their standard error; None of a single item."""

    tier: str
    score: FiniteFloat
    n: int
    stderr: FiniteFloat | None = None


class Bounds(Content):
    low: FiniteFloat
    high: FiniteFloat


class Scores(Content):
    """An eval.json. `score`: points of 0..100, None where it is partial, and `errors` says what could not run.

    `suite`, `scoring` and `student` are what it was measured with; `scoring` is a digest of rules.
    """

    generation: str
    partial: bool
    score: FiniteFloat | None = None
    suite: NamedDigest
    scoring: str | None = None
    student: str | None = None
    bits_per_byte: FiniteFloat | None = None
    tiers: dict[str, TierFigures]
    tasks: dict[str, TaskFigures]
    errors: dict[str, str] = {}
    interval: Bounds | None = None


@with_config(ConfigDict(extra="allow", strict=True))
class SampleRow(TypedDict):
    """A line of a samples.jsonl: one answer to one item. `score`: 0..1; `rungs`: which of its steps it climbed.

    Two rows are of the same item when task, index and item agree."""

    task: str
    index: int
    item: str
    prompt: str
    target: str
    answer: str
    score: FiniteFloat
    rungs: NotRequired[dict[str, bool]]


SAMPLE = TypeAdapter(SampleRow)


class CardCell(Content):
    """One skill at one difficulty: texts sampled and verified, items asked for and kept."""

    skill: str
    difficulty: int
    sampled: int
    verified: int
    pass_rate: FiniteFloat
    asked: int
    kept: int


class CardCost(Content):
    samples_per_item: FiniteFloat
    device_seconds_per_item: FiniteFloat


class Card(Content):
    """A curriculum.json: what came of what a parent wrote. `dropped`: reason -> texts; `measures`: guard-rails."""

    generation: str
    parent: str
    strategy: str
    items: int
    sampled: int
    answered: int = 0
    kept: int
    replayed: int
    anchors: int = 0
    to_write: int = 0
    acceptance: FiniteFloat
    contamination: int = 0
    dropped: dict[str, int]
    cells: list[CardCell]
    measures: dict[str, FiniteFloat]
    warnings: list[str]
    cost: CardCost | None = None
    record: Record


class SpentBudget(Content):
    """Device-seconds of all attempts. `stopped_by`: steps, ceiling, or end, of what has no steps."""

    ceiling_device_seconds: FiniteFloat
    used_device_seconds: FiniteFloat
    attempts: int = 1
    stopped_by: str


class LoggedStep(Content):
    """Loss in nats an answer token; tokens a second since the row before, and bytes of memory."""

    step: int
    loss: FiniteFloat
    learning_rate: FiniteFloat
    tokens_per_second: FiniteFloat | None = None
    memory_bytes: int | None = None


class TrainingReport(Content):
    """The training.json of a child that was trained."""

    generation: str
    record: Record
    recipe: dict[str, Any]
    budget: SpentBudget
    steps: int
    examples: int
    examples_too_long: int = 0
    tokens: int
    tokens_per_second: FiniteFloat
    peak_memory_bytes: int | None = None
    optimizer_bytes: int | None = None
    trained_parameters: int | None = None
    log: list[LoggedStep]


class CrossingReport(Content):
    """That of a child which was made of two parents."""

    generation: str
    record: Record
    parents: list[dict[str, Any]]
    crossing: dict[str, Any]
    rank: int
    residual: dict[str, Any] | None
    budget: SpentBudget


class ListedFiles(Content):
    """A source.json, the student's too. `files`: name -> digest, of all in its directory but this one."""

    files: dict[str, str]
    record: Record


class FounderSource(ListedFiles):
    """A founder's: where its weights are from. `tiny`: pretrained here; `local`: copied; None where nobody knows the
    licence, or the place."""

    kind: Literal["tiny", "local", "hub", "gguf", "merge", "evolved", "primed"]
    license: str | None = None
    origin: str | None = None


class HubSource(FounderSource):
    repo: str
    revision: str


class GgufSource(FounderSource):
    name: str | None


class MergedModel(Content):
    name: str
    digest: str
    license: str | None


class MergeSource(FounderSource):
    """`result`: the model in words; `said`: what the licences of its models forbid."""

    result: str
    parents: list[MergedModel]
    said: list[str]


class EvolvedSource(FounderSource):
    """`line`: the candidates that it descends from, the first one first."""

    evolution: str
    line: list[str]


class Unprimed(Content):
    """What source.json said of a founder before its primer, without files and record."""

    kind: str


class PrimedSource(FounderSource):
    came: Unprimed = Field(alias="from")
    primer: dict[str, Any]


SOURCES: dict[str, type[FounderSource]] = {
    "hub": HubSource,
    "gguf": GgufSource,
    "merge": MergeSource,
    "evolved": EvolvedSource,
    "primed": PrimedSource,
}


class SatTask(Content):
    """`value`: lm-eval's own metric, 0..1, over `n` items."""

    value: FiniteFloat
    n: int


class SatBenchmark(Content):
    """`value`: points of 0..100."""

    value: FiniteFloat
    tasks: dict[str, SatTask]


class Sat(Content):
    """A leaderboard.json: what `generation`, whose digest is `model`, scored on public benchmarks.

    `errors`: benchmark -> why it did not run; `data`: digest of the items."""

    generation: str
    model: str
    benchmarks: dict[str, SatBenchmark]
    errors: dict[str, str]
    partial: bool
    chat_template: bool
    data: str


AnyContent = TypeVar("AnyContent", bound=Content)
AnyRow = TypeVar("AnyRow", bound=BaseModel)


def parse_content(kind: type[AnyContent], content: Any, source: str) -> AnyContent:
    """Errors: LamarckError with the first place that is wrong."""
    try:
        return kind.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise _not_as_written(source, error) from error


def _not_as_written(source: str, error: ValidationError | RecursionError) -> LamarckError:
    first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deep"}
    place = ".".join(map(str, first["loc"])) or "the file"
    return LamarckError(
        f"{source} is not as `lamarck` writes it ({place}: {first['msg']}): restore it with `dvc pull`, or delete it "
        "and rerun"
    )


def read_scores(path: Path) -> Scores:
    """Errors: LamarckError where the file is missing or not valid; as of the other two."""
    return parse_content(Scores, read_json(path), str(path))


def read_card(path: Path) -> Card:
    return parse_content(Card, read_json(path), str(path))


def read_training(path: Path) -> TrainingReport | CrossingReport:
    content = read_json(path)
    crossed = isinstance(content, dict) and "crossing" in content
    kind: type[TrainingReport] | type[CrossingReport] = CrossingReport if crossed else TrainingReport
    return parse_content(kind, content, str(path))


def source_kind(content: Any) -> type[FounderSource]:
    """What a source.json must be, by the kind of founder that it names."""
    kind = content.get("kind") if isinstance(content, dict) else None
    return SOURCES.get(kind, FounderSource) if isinstance(kind, str) else FounderSource


def parse_source(content: Any, source: str) -> FounderSource:
    return parse_content(source_kind(content), content, source)


def read_source(path: Path) -> FounderSource:
    return parse_source(read_json(path), str(path))


def read_sat(path: Path) -> Sat:
    return parse_content(Sat, read_json(path), str(path))


def read_rows(kind: type[AnyRow], path: Path, otherwise: str) -> list[AnyRow]:
    """The lines of a file, each of one kind. Errors: LamarckError that names the first other one: it `otherwise`."""
    rows = []
    for number, content in read_jsonl(path):
        try:
            rows.append(kind.model_validate(content))
        except ValidationError as error:
            raise LamarckError(f"{path} line {number} {otherwise}") from error
    return rows


def read_samples(path: Path) -> list[SampleRow]:
    """Errors: LamarckError where the file is missing, or with the first line that is not valid."""
    return parse_samples(read_regular(path), path)


def parse_samples(content: bytes, source: Path) -> list[SampleRow]:
    """`read_samples` where the bytes have been read already; errors name `source`."""
    rows = []
    for number, row in parse_jsonl(content, source):
        try:
            rows.append(SAMPLE.validate_python(row))
        except (ValidationError, RecursionError) as error:
            raise _not_as_written(f"{source}, line {number},", error) from error
    return rows
