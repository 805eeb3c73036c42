"""The configuration of one lineage: the project's, with what the lineage's own description changes. Light."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from lamarck.config import Config, load_config
from lamarck.config.section import check_section
from lamarck.lineage.generation import Generation, described, description_file

S = TypeVar("S", bound=BaseModel)


def load_config_of(path: Path, generation: Generation) -> Config:
    """The configuration file at `path` as it holds for the lineage of `generation`. Errors: LamarckError."""
    return config_of(load_config(path), generation.lineage)


def config_of(config: Config, lineage: str) -> Config:
    """`config` as it holds for a lineage; a control arm's is that of the lineage which it controls.

    Errors: LamarckError where the description changes a key that there is not, or to a value that is not valid.
    """
    lineage = Generation(1, lineage).planned_by.lineage
    return with_changes(config, described(lineage).overlay, str(description_file(lineage)))


def with_changes(settings: S, changes: Mapping[str, Any], source: str) -> S:
    """`settings` with other values for some of its keys, checked like a file's: `merged`. Errors: LamarckError, which
    names `source`."""
    if not changes:
        return settings
    return check_section(merged(settings.model_dump(mode="json"), changes), type(settings), source)


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `overlay`: sections are merged key by key; one of another kind replaces the whole one."""
    result = dict(base)
    for key, value in overlay.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and value.get("kind") in (None, below.get("kind")):
            value = merged(below, value)
        result[key] = value
    return result


def value_at(settings: BaseModel, place: str) -> Any:
    """The value at a place such as `difficulty.weight`; None where there is none."""
    found: Any = settings
    for part in place.split("."):
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
    return found


def without(values: Mapping[str, Any], places: Iterable[str]) -> dict[str, Any]:
    """`values` without the keys at these places."""
    result = dict(values)
    for place in places:
        first, _, rest = place.partition(".")
        if not rest:
            result.pop(first, None)
        elif isinstance(result.get(first), Mapping):
            result[first] = without(result[first], [rest])
    return result
