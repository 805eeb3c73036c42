"""What stands in eval.json, curriculum.json and training.json: typed where it is written, and where it is read. Light.

Fields with a default are missing in files from before they were written down. What stands there beside the fields that
are named here is left as it is.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.lineage.records import Record


class Content(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    def written(self) -> dict[str, Any]:
        """What goes into the file: no field that was not given."""
        return self.model_dump(mode="json", exclude_unset=True)


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


AnyContent = TypeVar("AnyContent", bound=Content)


def parse_content(kind: type[AnyContent], content: Any, source: str) -> AnyContent:
    """Errors: LamarckError with the first place that is wrong."""
    try:
        return kind.model_validate(content)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deep"}
        place = ".".join(map(str, first["loc"])) or "the file"
        raise LamarckError(
            f"{source} is not as `lamarck` writes it ({place}: {first['msg']}): restore it with `dvc pull`, or delete "
            "it and rerun"
        ) from error


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
