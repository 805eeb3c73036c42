"""A student that is shipped: everybody teaches the same bytes, and no other."""

import json
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from lamarck.engine.rule import RuleEngine
from lamarck.errors import LamarckError
from lamarck.eval.ship import ship
from lamarck.eval.student import make_student
from lamarck.eval.teaching import run_teaching
from lamarck.files import digest_directory
from lamarck.suites.build import build_suite
from lamarck.suites.designs import DESIGNS, Design, Lessons
from lamarck.suites.frozen import verify
from lamarck.suites.suite import Suite, load_suite
from tests.suites.small import WORLD

SUITES = Path(__file__).parents[2] / "config/suites"
CELLS = {"json_mode": (2,), "arithmetic": (2,), "list_ops": (2,)}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A suite whose student was hardly pretrained."""
    path = tmp_path_factory.mktemp("suites") / "shipped"
    build_suite(path, 7, WORLD, Design(CELLS, items=20, lessons=Lessons(steps=6), ships=True, exam=True))
    with pytest.raises(LamarckError, match="never frozen"):
        verify(path)
    assert ship(path) == verify(path)
    with pytest.raises(LamarckError, match="is frozen already"):
        ship(path)
    return load_suite(path)


def test_the_student_lies_in_the_suite(shipped: Suite, tmp_path: Path) -> None:
    assert shipped.student and shipped.exam
    weights = load_file(shipped.student / "model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"float16"}
    assert yaml.safe_load((shipped.path / "suite.yaml").read_text())["exam"] is True
    assert make_student(shipped, tmp_path, threads=1) == 0
    assert digest_directory(tmp_path) == digest_directory(shipped.student)


def test_a_suite_that_asks_the_same_may_have_the_same_student(shipped: Suite, tmp_path: Path) -> None:
    design = Design(CELLS, items=20, lessons=Lessons(steps=6), ships=True, writing_weight=0.5)
    same = build_suite(tmp_path / "same", 7, WORLD, design).path
    other = build_suite(tmp_path / "other", 8, WORLD, design).path
    with pytest.raises(LamarckError, match="leave out --like"):
        ship(other, like=shipped.path)  # it was raised on what that suite holds out
    ship(same, like=shipped.path)
    students = [load_suite(path).student for path in (same, shipped.path)]
    assert students[0] and students[1]
    assert digest_directory(students[0]) == digest_directory(students[1])


def test_another_student_is_not_taught(shipped: Suite, tmp_path: Path) -> None:
    make_student(shipped, tmp_path, threads=1)
    nothing = RuleEngine(lambda prompt, rng: "")
    assert run_teaching(shipped, nothing, tmp_path).errors == {}
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    outcome = run_teaching(shipped, nothing, tmp_path)
    assert outcome.tasks == {}
    assert all(f"is not the student of {shipped.name}" in why for why in outcome.errors.values())


def test_a_damaged_student_is_named(shipped: Suite, tmp_path: Path) -> None:
    assert shipped.student
    weights = shipped.student / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + b"\x00\x01")
    with pytest.raises(LamarckError, match="is not the student that suite"):
        load_suite(shipped.path)
    weights.write_bytes(before)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_shipped_suites_hold_a_small_student(name: str) -> None:
    suite, design = load_suite(SUITES / name), DESIGNS[name]
    assert suite.exam == design.exam
    assert suite.student
    assert sum(path.stat().st_size for path in suite.student.iterdir()) < 300_000
    assert suite.tiers.teaching.writes == design.lessons.writes


@pytest.mark.parametrize(
    "names",
    [
        ("tiny-v3", "tiny-exam-v2"),
        ("small-v2", "small-exam-v2"),
        ("tiny-v2", "tiny-exam-v1"),
        ("small-v1", "small-exam-v1"),
    ],
)
def test_suite_and_exam_share_no_cell(names: tuple[str, str]) -> None:
    """What is selected on the one has never been asked, nor asked to write, what the other asks."""
    suite, exam = (load_suite(SUITES / name) for name in names)
    asked = [
        {(task.skill, task.difficulty) for task in (*each.sanity_tasks, *each.tiers.engineering.tasks)}
        for each in (suite, exam)
    ]
    assert not asked[0] & asked[1]
    prompts = [{item.prompt for found in each.items.values() for item in found} for each in (suite, exam)]
    assert not prompts[0] & prompts[1]
