"""YAML as everything here reads it: one document, in which what a person sees is what is parsed. Light."""

import math
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer

from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.visible import INVISIBLE


def load(path: Path) -> Any:
    """The content of a YAML file, a regular one. Errors: LamarckError with one sentence."""
    return loads(read_regular(path), str(path))


def loads(content: bytes, source: str) -> Any:
    """The value of the one document in `content`, with the types of YAML's safe schema; None where it is empty.

    Errors: LamarckError with one sentence that names `source`: for what is not YAML; for a second document, a key that
    stands twice, a merge key, an alias, NaN or an infinity; and for characters that nobody sees. In a
    text such a character may stand as an escape in double quotes, where it is seen; in a key it may not.
    """
    try:
        text = content.decode("utf-8")
        hidden = INVISIBLE.search(text)
        if hidden:
            raise _refusal(f"line {text.count(chr(10), 0, hidden.start()) + 1} holds {_named(hidden[0])}")
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise LamarckError(f"{source} is not valid YAML: it is nested too deep") from error
    # ValueError: no UTF-8, a day that no calendar has, a number of thousands of digits.
    except (yaml.YAMLError, ValueError) as error:
        raise LamarckError(f"{source} is not valid YAML: {_reason(error)}") from error


def check_name(name: str) -> str:
    """`name`, if every character of it can be seen. Errors: ValueError, for a pydantic validator."""
    hidden = INVISIBLE.search(name)
    if hidden:
        raise ValueError(f"it holds {_named(hidden[0])}")
    return name


def _named(character: str) -> str:
    return f"the invisible character U+{ord(character):04X}"


def _refusal(reason: str, place: yaml.Node | yaml.Event | None = None) -> yaml.MarkedYAMLError:
    mark: Any = None if place is None else place.start_mark  # libyaml's own, or PyYAML's
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


def _reason(error: yaml.YAMLError | ValueError) -> str:
    """On one line: what is wrong and where."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    place = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
    return " ".join(filter(None, [error.context, error.problem])) + place


class UniqueKeys(Composer, yaml.CSafeLoader):
    """PyYAML's safe loader drops in silence what stands under a key the first time: that is an error here.

    libyaml splits the text into events, which takes a seventh of the time; what they come to is decided in Python.
    """

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.key_of(key_node)
            if key in seen:
                raise _refusal(f"{key!r} stands there twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def key_of(self, node: yaml.Node) -> Any:
        """What a key is known by: here as it is written."""
        return str(node.value)


class _Loader(UniqueKeys):
    """The same, without anything else that lets one text mean two things."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _refusal("aliases are not read: write the value out", self.peek_event())
        return super().compose_node(parent, index)

    def key_of(self, node: yaml.Node) -> str | int | float:
        if node.tag == "tag:yaml.org,2002:merge":
            raise _refusal("merge keys (<<) are not read: write the keys out", node)
        key = self.construct_object(node, deep=True)
        if not isinstance(key, str | int | float):
            raise _refusal("a key must be a text or a number", node)
        if isinstance(key, str) and (hidden := INVISIBLE.search(key)):
            raise _refusal(f"a key holds {_named(hidden[0])}", node)
        return key

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        value: float = self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise _refusal(f"{node.value} is not a finite number", node)
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_finite)
