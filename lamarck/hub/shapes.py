"""What the records of a fetched lineage must look like, as far as commands read them: digests say that nobody changed a
file since it was published, not that whoever published it wrote it in earnest."""

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ValidationError

from lamarck.curriculum.item import read_curriculum
from lamarck.errors import LamarckError
from lamarck.files import canonical_json, parse_jsonl, read_regular
from lamarck.lineage.contents import SAMPLE, Card, CrossingReport, Scores, TrainingReport, source_kind
from lamarck.lineage.generation import TRAINING_RECORD, WEIGHTS_RECORD, Generation
from lamarck.strict_json import finite


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
        path = member.weights / WEIGHTS_RECORD
        content = finite(read_regular(path).decode("utf-8"))
        _check_value(content, source_kind(content).model_validate, str(path))
    elif member.is_crossed:
        _check(member.change / TRAINING_RECORD, CrossingReport)
    else:
        for _ in read_curriculum(member.curriculum):
            pass
        _check(member.card, Card)
        _check(member.change / TRAINING_RECORD, TrainingReport)
    if member.scores.exists():
        _check(member.scores, Scores)
        for number, row in parse_jsonl(read_regular(member.samples), member.samples, finite):
            _check_value(row, SAMPLE.validate_python, f"{member.samples} line {number}")


def _check(path: Path, shape: type[BaseModel]) -> None:
    _check_value(finite(read_regular(path).decode("utf-8")), shape.model_validate, str(path))


def _check_value(value: object, validated: Callable[[object], object], where: str) -> None:
    try:
        validated(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LamarckError(f"{where}: {place}: {first['msg']}") from error
