"""One name, one meaning: no two classes of the package have the same name; `make check` runs this."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1] / "lamarck"

# Both are part of the frozen ruler (tests/eval/scoring.yaml), and what runs in a room knows nothing but itself.
FROZEN = {"Machine": {"judging/micro_student.py", "judging/trial.py"}}


def classes(source: str) -> list[str]:
    return [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def repeated(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Name of a class -> the files that define it, where that is more than one, or one file twice."""
    found = defaultdict(list)
    for path, source in sorted(sources.items()):
        for name in classes(source):
            found[name].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1 and set(paths) != FROZEN.get(name)}


def test_a_class_has_a_name_of_its_own() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    assert len(sources) > 300
    assert repeated(sources) == {}


def test_a_name_that_stands_twice_is_found() -> None:
    """Also one that hides in a function, and a third one beside those that are excepted."""
    once = "class Step: ..."
    assert repeated({"a.py": once, "b.py": "def make():\n    class Step: ..."}) == {"Step": ["a.py", "b.py"]}
    machines = dict.fromkeys(FROZEN["Machine"], "class Machine: ...")
    assert repeated(machines) == {}
    assert "Machine" in repeated(machines | {"config/own.py": "class Machine: ..."})
