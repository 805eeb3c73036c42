"""What the records of a fetched lineage must look like, as far as commands read them: digests say that nobody changed a
file since it was published, not that whoever published it wrote it in earnest."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lamarck.curriculum.item import read_curriculum
from lamarck.errors import LamarckError
from lamarck.files import canonical_json, parse_jsonl, read_regular
from lamarck.lineage.generation import TRAINING_RECORD, WEIGHTS_RECORD, Generation
from lamarck.strict_json import finite


class _Shape(BaseModel):
    """What is needed of a record; what stands there beside it is left alone."""

    model_config = ConfigDict(strict=True)


class _Cell(_Shape):
    skill: str
    difficulty: int
    pass_rate: float | None
    kept: int


class _Card(_Shape):
    generation: str
    parent: str
    items: int
    sampled: int
    kept: int
    acceptance: float
    dropped: dict[str, int]
    cells: list[_Cell]
    measures: dict[str, float]
    warnings: list[str]


class _Step(_Shape):
    step: int
    loss: float
    learning_rate: float


class _Spent(_Shape):
    ceiling_device_seconds: float
    used_device_seconds: float
    stopped_by: str


class _Recipe(_Shape):
    steps: int


class _Training(_Shape):
    recipe: _Recipe
    budget: _Spent
    steps: int
    examples: int
    tokens: int
    tokens_per_second: float
    log: list[_Step]


class _Source(_Shape):
    kind: str


class _Suite(_Shape):
    name: str
    digest: str


class _Figures(_Shape):
    score: float | None


class _Scores(_Shape):
    partial: bool
    score: float | None = None
    bits_per_byte: float | None = None
    suite: _Suite
    tiers: dict[str, _Figures]
    tasks: dict[str, _Figures]


class _Sample(_Shape):
    task: str
    index: int
    item: str
    answer: str
    score: float


def check_json(path: Path) -> None:
    """Errors: LamarckError where a file of JSON is not JSON, has a number that is not finite, or is nested too deep."""
    if path.suffix == ".json":
        try:
            canonical_json(finite(read_regular(path).decode("utf-8")))
        except RecursionError as error:
            raise LamarckError(f"{path} is nested too deep") from error
        except ValueError as error:
            raise LamarckError(f"{path} is not valid JSON: {error}") from error


def check_shapes(member: Generation) -> None:
    """The files of one generation, as far as they are there. Errors: LamarckError that names the first wrong place."""
    if not member.number:
        _check(member.weights / WEIGHTS_RECORD, _Source)
    else:
        for _ in read_curriculum(member.curriculum):
            pass
        _check(member.card, _Card)
        _check(member.change / TRAINING_RECORD, _Training)
    if member.scores.exists():
        _check(member.scores, _Scores)
        for number, row in parse_jsonl(read_regular(member.samples), member.samples, finite):
            _check_value(row, _Sample, f"{member.samples} line {number}")


def _check(path: Path, shape: type[_Shape]) -> None:
    _check_value(finite(read_regular(path).decode("utf-8")), shape, str(path))


def _check_value(value: object, shape: type[_Shape], where: str) -> None:
    try:
        shape.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LamarckError(f"{where}: {place}: {first['msg']}") from error
