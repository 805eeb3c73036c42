"""Why a genome is refused: one sentence with the place, what is wrong there, and the nearest valid name."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from lamarck.errors import nearest


def sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first thing wrong. A misspelt required key is also a missing one: the misspelling is what helps."""
    first = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")[0]
    loc = [str(part) for part in first["loc"]]
    place = ".".join(loc) or "the genome"
    context = first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}: {nearest(loc[-1], _keys(kind, loc[:-1]))}"
    if first["type"] == "literal_error":
        return f"unknown {place} {first['input']!r}: {nearest(str(first['input']), _quoted(context['expected']))}"
    if first["type"] == "union_tag_invalid":
        return (
            f"unknown type {context['tag']!r} at {place}: {nearest(context['tag'], _quoted(context['expected_tags']))}"
        )
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _keys(kind: type[BaseModel], loc: Sequence[str]) -> list[str]:
    """The valid keys at a place such as ("model", "blocks", "0", "ffn", "moe"): the schema says them."""
    schema = kind.model_json_schema()
    node = _resolve(schema, schema)
    for part in loc:
        options = node.get("discriminator", {}).get("mapping", {})
        if part in options:
            step: dict[str, Any] = {"$ref": options[part]}
        elif "items" in node:
            step = node["items"]
        else:
            step = node.get("properties", {}).get(part, {})
        node = _resolve(schema, step)
    return list(node.get("properties", {}))


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and past the `null` of what may be left out."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "discriminator" not in node and "anyOf" in node:
            node = next(each for each in node["anyOf"] if each.get("type") != "null")
        else:
            return node
