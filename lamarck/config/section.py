"""A part of a configuration file, typed: unknown keys are refused with the nearest valid name. Light: no torch here."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lamarck import strict_yaml
from lamarck.errors import LamarckError, nearest
from lamarck.files import digest_value

S = TypeVar("S", bound=BaseModel)

# Part of every digest of settings. A new one makes every artifact stale: only for a deliberate break.
DIGEST_VERSION = 2


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to keys that it does not know and to numbers without end.

    `circumstance` names the settings that cannot change any byte of an artifact; they are in no digest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    circumstance: ClassVar[frozenset[str]] = frozenset()

    def decisive_settings(self) -> dict[str, Any]:
        """Every setting that can change bytes, for a person to read."""
        return self.model_dump(mode="json", exclude=set(self.circumstance))

    def digest(self) -> str:
        """Over the settings that can change bytes and are not at their defaults.

        So a field that is added with a default leaves every digest as it is. A default may never change its value:
        tests/config/test_digests.py holds all of them.
        """
        decided = self.model_dump(mode="json", exclude=set(self.circumstance), exclude_defaults=True)
        return digest_value({"version": DIGEST_VERSION, "settings": decided})


def load_section(path: Path, kind: type[S]) -> S:
    """Read a YAML file into a typed section. Errors: LamarckError with one sentence that names the key."""
    return check_section(strict_yaml.load(path), kind, str(path))


def check_section(values: object, kind: type[S], source: str) -> S:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise LamarckError(f"{source}: {_sentence(error, kind)}") from error


def _sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first thing wrong, as one sentence: where, what, and for an unknown key the nearest valid name."""
    # A misspelt required key is also a missing one: the misspelling is what helps.
    first = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] != "extra_forbidden":
        return f"{place}: {first['msg']}"
    valid = _keys_at(kind, tuple(str(part) for part in first["loc"][:-1]))
    return f"unknown key {place!r}: {nearest(str(first['loc'][-1]), valid)}"


def _keys_at(kind: type[BaseModel], place: tuple[str, ...]) -> list[str]:
    """The valid keys at a place such as ("founder", "tiny"): the schema says them."""
    schema = kind.model_json_schema()
    node = schema
    for part in (*place, None):
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        if part is None:
            break
        if "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"].get(part, "")}
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
            if "discriminator" not in node and isinstance(node.get("anyOf"), list):
                node = next((option for option in node["anyOf"] if "$ref" in option), {})
    return list(node.get("properties", {}))
