"""The order of the rooms: a lower one never imports a higher one. It stands here, once; `make check` runs this."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "lamarck"

# From the ground up. Rooms on one line do not know each other.
ORDER: tuple[tuple[str, ...], ...] = (
    ("visible", "seeds", "strict_json", "heavy_imports"),
    ("output",),
    ("errors",),
    ("files", "progress", "run_lock", "asking", "below"),
    ("strict_yaml", "seal"),
    ("config",),
    ("merge",),
    ("lineage",),
    ("arch",),
    ("models",),
    ("engine",),
    ("judging",),
    ("skills",),
    ("suites",),
    ("curriculum",),
    ("budget",),
    ("gate",),
    ("founder",),
    ("train",),
    ("eval",),
    ("campaign",),
    ("search",),
    ("evolve",),
    ("ratchet",),
    ("report",),
    ("serve", "hub"),
    ("export",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# What a room may not import although that lies lower: a suite's ruler must not move when the trainer of children does.
APART = {"eval": "train"}
# The one room that opens models and adapters. A suite's ruler has an opening of its own that must not move either.
OPENER = "models"
OPENED_APART = {"eval/student_training.py", "suites/tasks/training_check.py"}
# The gate reads curricula, and the stage that writes them asks it for the ceiling: that one file stands above it.
STAGES = {"curriculum/__main__.py": "gate"}
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}


def imports(source: str) -> Iterator[str]:
    """Names of the modules of this package that a source imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "lamarck" and len(parts) > 1 else None


def upward(path: Path, source: str) -> list[str]:
    """What a file imports that lies above its own room, beside it on the same line, or apart from it."""
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    found = []
    for module in imports(source):
        room = room_of(module)
        if room is None or room == own:
            continue
        name = path.relative_to(ROOT.parent).as_posix()
        above = STAGES.get(path.relative_to(ROOT).as_posix())
        if LEVEL[room] > LEVEL[above] if above else LEVEL[room] >= LEVEL[own]:
            found.append(f"{name} imports {module}, which lies above {own}")
        if APART.get(own) == room:
            found.append(f"{name} imports {module}, which {own} does without")
    return found


def openings(source: str) -> list[int]:
    """Lines of a source that have a library open a model, a tokenizer, an adapter or their settings."""
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
    return [node.lineno for node in names if node.attr == "from_pretrained"]


def test_every_room_has_its_place() -> None:
    rooms = {
        path.name.removesuffix(".py") for path in ROOT.iterdir() if path.name[0] != "." and path.name != "__init__.py"
    }
    assert rooms - {"__pycache__"} == set(LEVEL)


def test_no_room_imports_a_higher_one() -> None:
    found = [each for path in sorted(ROOT.rglob("*.py")) for each in upward(path, path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source", ["from lamarck.eval import run", "def later():\n    import lamarck.cli", "import lamarck.gate.plan"]
)
def test_an_import_upwards_is_found(source: str) -> None:
    """Also one that hides in a function."""
    assert upward(ROOT / "skills" / "new.py", source)
    assert not upward(ROOT / "cli" / "new.py", "from lamarck.eval import run")


def test_the_examiner_does_without_the_trainer_of_children() -> None:
    assert upward(ROOT / "eval" / "new.py", "from lamarck.train.loop import train")
    assert not upward(ROOT / "report" / "new.py", "from lamarck.train.log import StepRow")


def test_one_room_opens_models() -> None:
    """What is checked there, every tensor in its place and no code of others, is checked of every model."""
    opening = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).parts[0] != OPENER and openings(path.read_text(encoding="utf-8"))
    }
    assert opening == OPENED_APART


@pytest.mark.parametrize(
    "source",
    ["model = AutoModel.from_pretrained(weights)", "def later():\n    load = peft.PeftModel.from_pretrained"],
)
def test_an_opening_elsewhere_is_found(source: str) -> None:
    assert openings(source)
    assert not openings("from lamarck.models.opening import open_model\nopen_model(weights).save_pretrained('there')")
