"""An agent that changes typed numbers and choices: keys of a YAML file, or constants at the top of a Python file."""

import ast
import random
from typing import Any

import yaml

from lamarck import strict_yaml
from lamarck.ratchet.agents.proposal import AgentContext, AgentFailed, Proposal
from lamarck.ratchet.file import MutationAgent
from lamarck.search.space import Value, mutate
from lamarck.seeds import seed_for


class Mutation:
    def __init__(self, settings: MutationAgent) -> None:
        self._settings = settings

    def propose(self, context: AgentContext) -> Proposal:
        """Errors: AgentFailed where the file has not the keys that may change."""
        ((name, content),) = context.files.items()
        python = name.endswith(".py")
        try:
            before = (constants if python else _keys)(content, tuple(self._settings.space))
        except (ValueError, KeyError) as error:
            raise AgentFailed(f"mutation: {name} has no {error.args[0]}") from error
        rng = random.Random(seed_for(self._settings.seed, "mutation", str(context.number)))
        after = mutate(self._settings.space, before, rng)
        changed = {key: value for key, value in after.items() if value != before[key]}
        made = _with_constants(content, changed) if python else _with_keys(content, changed)
        said = "; ".join(f"{key} {before[key]} -> {value}" for key, value in changed.items())
        return Proposal({name: made}, said)


def constants(content: bytes, names: tuple[str, ...]) -> dict[str, Value]:
    """Values of `NAME = literal` at the top level of a Python file. Errors: KeyError, ValueError."""
    found = {name: ast.literal_eval(node) for name, node in _assigned(content).items() if name in names}
    return {name: found[name] for name in names}


def _assigned(content: bytes) -> dict[str, ast.expr]:
    found = {}
    for node in ast.parse(content).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def _with_constants(content: bytes, values: dict[str, Value]) -> bytes:
    lines = content.split(b"\n")
    for name, value in values.items():
        node = _assigned(content)[name]
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + repr(value).encode() + line[node.end_col_offset :]
    return b"\n".join(lines)


def _keys(content: bytes, places: tuple[str, ...]) -> dict[str, Value]:
    value = strict_yaml.loads(content, "the mutable file")
    return {place: _at(value, place) for place in places}


def _at(value: Any, place: str) -> Any:
    for part in place.split("."):
        if not isinstance(value, dict) or part not in value:
            raise KeyError(place)
        value = value[part]
    return value


def _with_keys(content: bytes, values: dict[str, Value]) -> bytes:
    whole = strict_yaml.loads(content, "the mutable file")
    for place, value in values.items():
        *above, last = place.split(".")
        section = _at(whole, ".".join(above)) if above else whole
        section[last] = value
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True).encode()
