"""What runs a user's own code: a process of its own, that one line asks and one line answers.

    python -m lamarck.skills.own_worker skill NAME FILE
    python -m lamarck.skills.own_worker entry-point NAME
    python -m lamarck.skills.own_worker function NAME FILE

A question is `{"call": METHOD, "given": [...]}`; the answer is `{"value": ...}`, `{"malformed": why}` or
`{"raised": what}`. The code may do what its user may: it was not written by a model, and runs in no sandbox.
What it prints goes to the standard error.
"""

import json
import os
import random
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from lamarck.config.own import entry_point
from lamarck.skills.base import Malformed, Problem, Skill

Calls = Mapping[str, Callable[..., Any]]


def main() -> None:
    kind, name, *files = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    calls: Calls = {}
    said = _tried(lambda: None)
    try:
        calls = _function(name, Path(files[0])) if kind == "function" else _skill(_found(kind, name, files), name)
    except Exception as error:  # whatever a user's module raises while it is read
        said = {"raised": _shown(error)}
    while True:
        answers.write(json.dumps(said) + "\n")
        answers.flush()
        line = sys.stdin.readline()
        if not line:
            return
        asked = json.loads(line)
        said = _tried(lambda asked=asked: calls[asked["call"]](*asked["given"]))  # type: ignore[misc]


def _tried(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": work()}
    except Malformed as error:
        return {"malformed": str(error)}
    except Exception as error:  # the user's own code: its exceptions are answers too
        return {"raised": _shown(error)}


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


class _Uncached(SourceFileLoader):
    """Bytecode counts as its source's by the second and the size: a file changed twice within one would stay old."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path, loader=_Uncached(path.stem, str(path)))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _function(name: str, path: Path) -> Calls:
    function = getattr(_module(path), name)
    return {"judge": lambda prompt, answer, completion: bool(function(prompt, answer, completion))}


def _found(kind: str, name: str, files: list[str]) -> Skill:
    if kind == "entry-point":
        loaded = entry_point(name).load()
        skill = loaded() if isinstance(loaded, type) else loaded
        if not isinstance(skill, Skill):
            raise TypeError(f"the entry point {name} is no Skill")
        return skill
    module = _module(Path(files[0]))
    for value in vars(module).values():
        own = isinstance(value, type) and issubclass(value, Skill) and value.__module__ == module.__name__
        if own and getattr(value, "name", None) == name:
            return value()
    raise LookupError(f"{files[0]} has no class of kind Skill whose name is {name!r}")


def _skill(skill: Skill, name: str) -> Calls:
    if skill.name != name:
        raise LookupError(f"the skill calls itself {skill.name!r}, not {name!r}")

    def filed(prompt: str, completion: str) -> list[Any]:
        problem, difficulty = skill.filed(Problem(prompt, completion))
        return [problem.prompt, problem.completion, difficulty]

    def verify(prompt: str, completion: str) -> list[Any]:
        verdict = skill.verify(Problem(prompt, completion))
        return [bool(verdict.verified), str(verdict.reason), bool(verdict.undecided)]

    return {
        "facts": lambda: [skill.description, list(skill.difficulties)],
        "sample": lambda seed, difficulty: _pair(skill.sample(random.Random(seed), difficulty)),
        "space": skill.space,
        "ask": skill.ask,
        "form": skill.form,
        "parse": lambda asked, text: _pair(skill.parse(asked, text)),
        "written": lambda prompt, completion: list(skill.written(prompt, completion)),
        "difficulty": skill.difficulty,
        "filed": filed,
        "verify": verify,
        "what_varies": lambda prompt: sorted(skill.what_varies(prompt)),
        "said": skill.said,
    }


def _pair(problem: Problem) -> list[str]:
    return [problem.prompt, problem.completion]


if __name__ == "__main__":
    main()
