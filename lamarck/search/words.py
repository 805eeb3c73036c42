"""What a candidate does differently, in words: each key with both values, and what it is. Pure."""

import re
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from lamarck.config import Recipe
from lamarck.config.strategy import Strategy
from lamarck.gate.search import RECIPE
from lamarck.search.space import Value, Values


class ValueChange(NamedTuple):
    """`meaning` is the first sentence of the key's own description; empty where it has none."""

    key: str
    before: Value
    after: Value
    meaning: str

    @property
    def short(self) -> str:
        return f"{self.key} {shown(self.before)} → {shown(self.after)}"

    @property
    def sentence(self) -> str:
        before, after = _positive(self.before), _positive(self.after)
        told = f" ({after / before:.2g} times)" if before and after else ""
        meaning = f": {self.meaning}" if self.meaning else ""
        return f"`{self.key}` is {shown(self.after)} instead of {shown(self.before)}{told}{meaning}"


def changes(before: Values, after: Values) -> list[ValueChange]:
    """The keys whose values differ, in the order of `after`."""
    return [
        ValueChange(key, before.get(key), value, meaning_of(key))
        for key, value in after.items()
        if before.get(key) != value
    ]


def meaning_of(key: str) -> str:
    """What the description of the key's own field says of it, its first sentence."""
    kinds: list[type[BaseModel]] = [Recipe if key.startswith(RECIPE) else Strategy]
    described = ""
    for part in key.removeprefix(RECIPE).split("."):
        field = next((kind.model_fields[part] for kind in kinds if part in kind.model_fields), None)
        if field is None:
            return ""
        described, kinds = field.description or "", _models(field.annotation)
    return re.split(r"\.\s+(?=[A-Z])", described)[0].removesuffix(".")


def shown(value: Value) -> str:
    return "unset" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        parts = parts[:1]
    return [each for part in parts for each in _models(part)]


def _positive(value: Value) -> float | None:
    """A number above zero, of which another can be so many times as much."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
