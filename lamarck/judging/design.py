"""The JSON of a curriculum design: read strictly, so that no value can mean two things. Light."""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeGuard, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lamarck import strict_json
from lamarck.config.section import Section
from lamarck.engine.answer import code_of

M = TypeVar("M", bound=BaseModel)

LONGEST = 100_000  # characters of an answer
MOST_STAGES = 100
WORD = re.compile(r"\w+")
PLACEHOLDER = re.compile(r"\b(tbd|todo|fixme|placeholder|lorem ipsum|to be (determined|decided|defined))\b")
EMPTY = {"", "na", "n a", "none", "null", "string", "text", "etc", "example", "stage", "name", "stage name"}


class Work(BaseModel):
    """The numbers of one stage: all that its cost and its training depend on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    source: str
    method: str
    examples: int = Field(gt=0)
    replay_share: float = Field(ge=0, lt=1)
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    counts: dict[str, int] | None = Field(None, min_length=1)


class ExitTest(Section):
    metric: str
    threshold: float


class Stage(Work):
    """One stage whole, closed to other keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=3)
    topics: tuple[str, ...] = Field(min_length=1)
    prerequisites: tuple[str, ...]
    format: str = Field(min_length=20)
    exit_test: ExitTest


class Totals(Section):
    """What a design adds up to; in a task file, the ceiling of each total that the design must state."""

    total_examples: float | None = None
    total_steps: float | None = None
    total_tokens: float | None = None
    total_hours: float | None = None
    total_dollars: float | None = None


def read_design(answer: str) -> dict[str, Any] | None:
    """The object in the last fence of an answer, with a list under "stages"; None if there is no such thing."""
    if len(answer) > LONGEST:
        return None
    try:
        value = strict_json.loads(code_of(answer))
    except (ValueError, RecursionError):
        return None
    stages = value.get("stages") if isinstance(value, dict) else None
    return value if isinstance(stages, list) and 0 < len(stages) <= MOST_STAGES else None


def names_in(stages: Sequence[object], key: str) -> list[list[str]] | None:
    """The list of names that each stage has under `key`; None if one has none."""
    lists = [stage.get(key) if isinstance(stage, dict) else None for stage in stages]
    named = [each for each in lists if isinstance(each, list) and all(isinstance(name, str) for name in each)]
    return named if len(named) == len(lists) else None


def checked(kind: type[M], value: object) -> M | None:
    """`value` as JSON of this kind, with no conversion between types; None if it is not."""
    try:
        return kind.model_validate_json(json.dumps(value), strict=True)
    except (ValidationError, RecursionError):
        return None


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_placeholder(text: str) -> bool:
    """Whether a text says nothing. Its words alone are looked at: in linear time, however long it is."""
    words = " ".join(WORD.findall(text.lower()))
    return words in EMPTY or PLACEHOLDER.search(words) is not None
