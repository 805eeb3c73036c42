"""Which rules scored: a digest over the code and the libraries that decide a suite's scores. Light.

What counts of the code is its syntax tree without docstrings: words and layout may change, what is computed may not.
Scores of one suite under two digests do not compare, so `compare` refuses them, and the tests refuse a change that no
new suite goes with (tests/eval/scoring.yaml).
"""

import ast
import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lamarck.files import digest_value
from lamarck.lineage.digest import suite_digest, weights_digest
from lamarck.skills import get_skill
from lamarck.suites.sections import WORK_ASKED, BenchmarkTask
from lamarck.suites.suite import Suite

PACKAGE = Path(__file__).parents[1]
# The engine is not among them: it is a setting of its own, in every record, and answers as the model does.
EVERY_SUITE = (
    *("eval/run.py", "eval/outcome.py", "eval/sanity.py", "eval/lm.py", "eval/engineering_tier.py", "eval/ladders.py"),
    *("eval/teaching.py", "eval/student_training.py", "engine/answer.py", "models/chat.py", "seeds.py"),
    *("skills/base.py",),
)
# Where answers are run: the rooms, and every kind of task.
RUNS_ANSWERS = ("judging/*.py", "suites/tasks/*.py", "suites/tasks/examinations/*.py")
JUDGES_WORK = ("eval/measure.py", "eval/work.py")
LIBRARIES = ("lm_eval", "torch", "transformers", "peft")


def scoring_digest(suite: Suite) -> str:
    """Of what decides the suite's scores here."""
    return digest_value({"modules": module_digests(suite), "libraries": library_versions()})


def library_versions() -> dict[str, str]:
    """Without what names a build: 2.13.0+cpu and 2.13.0 are one version."""
    return {name: version(name).partition("+")[0] for name in LIBRARIES}


def module_digests(suite: Suite) -> dict[str, str]:
    """Path below lamarck/ -> digest of its syntax tree, for every module that decides the suite's scores."""
    patterns = [*EVERY_SUITE, *(f"skills/{name}.py" for name in sorted(_skills(suite)))]
    patterns += (file for name in _skills(suite) for file in _bases(name))
    patterns += JUDGES_WORK if suite.scorers.get("lamarck") == WORK_ASKED else ()
    patterns += RUNS_ANSWERS if suite.runs_answers else ()
    files = sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)})
    return {path.relative_to(PACKAGE).as_posix(): syntax_digest(path.read_text(encoding="utf-8")) for path in files}


def syntax_digest(source: str) -> str:
    """Of what a module does: its syntax tree, docstrings left out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _skills(suite: Suite) -> Iterator[str]:
    tiers = suite.tiers
    yield tiers.teaching.skill
    for task in (*tiers.sanity.tasks, *tiers.engineering.tasks, *tiers.teaching.tasks):
        if not isinstance(task, BenchmarkTask):
            yield task.skill


def _bases(skill: str) -> Iterator[str]:
    """The modules of the classes that a skill is made of: what they share with others judges as well."""
    for kind in type(get_skill(skill)).__mro__:
        if kind.__module__.startswith("lamarck.skills."):
            yield f"{kind.__module__.removeprefix('lamarck.').replace('.', '/')}.py"


def ruler(suite: Suite, student: Path) -> dict[str, Any]:
    """What an evaluation was measured with, for eval.json: suite, rules, and student."""
    named = {"name": suite.name, "digest": suite_digest(suite.path)}
    return {"suite": named, "scoring": scoring_digest(suite), "student": weights_digest(student)}
