"""What scores does not change under a suite's name.

    python -m tests.eval.test_scoring

writes scoring.yaml anew: only where no score of the suites that it names was ever shown to anybody.
"""

from functools import cache
from pathlib import Path

import pytest
import yaml

from lamarck.eval.scoring import library_versions, module_digests, scoring_digest, syntax_digest
from lamarck.files import digest_value
from lamarck.suites.suite import load_suite

SUITES = Path(__file__).parents[2] / "config/suites"
GOLDEN = Path(__file__).with_name("scoring.yaml")
LIVE = (
    *("tiny-v3", "tiny-exam-v2", "small-v2", "small-exam-v2", "v2"),
    *("tiny-v2", "tiny-exam-v1", "small-v1", "small-exam-v1"),  # superseded, and what was begun on them goes on
)  # the others are retired
TO_DO = (
    "scores of {suite} before this change and after it do not compare. Take the change back, or freeze the suite under "
    "a new name (python -m lamarck.suites.build, python -m lamarck.eval.ship), say in its ERRATA.md why, and write "
    "tests/eval/scoring.yaml anew (python -m tests.eval.test_scoring)"
)


@cache
def digests(suite: str) -> dict[str, str]:
    return module_digests(load_suite(SUITES / suite))


def found() -> dict[str, dict[str, str]]:
    modules = {name: digest for suite in LIVE for name, digest in digests(suite).items()}
    return {"libraries": library_versions(), "modules": dict(sorted(modules.items()))}


@pytest.mark.parametrize("suite", LIVE)
def test_no_rule_of_a_suite_changed_without_a_new_name(suite: str) -> None:
    golden = yaml.safe_load(GOLDEN.read_text())
    now = digests(suite)
    moved = [name for name, digest in now.items() if golden["modules"].get(name) != digest]
    moved += [name for name, version in library_versions().items() if golden["libraries"].get(name) != version]
    assert not moved, f"{', '.join(moved)} changed: {TO_DO.format(suite=suite)}"


def test_every_golden_module_scores_something() -> None:
    assert yaml.safe_load(GOLDEN.read_text())["modules"].keys() == found()["modules"].keys()


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("def f(x):\n    # a comment\n    return (x + 1)\n", True),
        ('"""Of the module."""\n\n\ndef f(x):\n    """Of f."""\n    return x + 1\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    'docstring'\n    'no docstring'\n    return x + 1\n", False),
        ("@property\ndef f(x):\n    return x + 1\n", False),
    ],
)
def test_words_and_layout_are_free(source: str, same: bool) -> None:
    assert (syntax_digest(source) == syntax_digest("def f(x):\n    return x + 1\n")) is same


def test_a_suite_is_scored_by_what_it_asks() -> None:
    """The rooms where answers run decide nothing where none is run; the trainer of children decides nothing at all."""
    tiny, judged = digests("tiny-v2"), digests("v2")
    assert "skills/list_ops.py" in tiny and "eval/student_training.py" in tiny
    assert not [name for name in tiny if name.startswith(("judging/", "suites/tasks/"))]
    assert {"judging/examiner.py", "suites/tasks/training_check.py", "skills/json_schema.py"} <= judged.keys()
    assert not [name for name in judged if name.startswith("train/")]
    assert scoring_digest(load_suite(SUITES / "tiny-v2")) == digest_value(
        {"modules": tiny, "libraries": library_versions()}
    )


if __name__ == "__main__":
    GOLDEN.write_text(yaml.safe_dump(found()))
