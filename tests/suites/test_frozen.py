"""A frozen suite stays as it was, and says which file did not."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.lineage.digest import suite_digest
from lamarck.suites.frozen import freeze, verify

SHIPPED = sorted(path.parent for path in (Path(__file__).parents[2] / "config/suites").glob("*/suite.yaml"))


@pytest.mark.parametrize("suite", SHIPPED, ids=lambda path: path.name)
def test_the_shipped_suites_are_as_they_were_frozen(suite: Path) -> None:
    assert verify(suite) == suite_digest(suite)
    assert (suite / "README.md").exists()
    assert (suite / "ERRATA.md").exists()


def append(suite: Path) -> None:
    with (suite / "items/arithmetic_2.jsonl").open("a") as file:
        file.write('{"prompt": "<a2> 1 + 1 + 1 =>", "target": "2 3"}\n')


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (append, "items/arithmetic_2.jsonl was changed since the suite was frozen"),
        (lambda suite: (suite / "items/new.jsonl").write_text(""), "items/new.jsonl is new"),
        (lambda suite: (suite / "FROZEN").unlink(), "was never frozen"),
    ],
)
def test_a_change_is_named(suite_copy: Path, change: Callable[[Path], object], sentence: str) -> None:
    verify(suite_copy)
    change(suite_copy)
    with pytest.raises(LamarckError, match=sentence):
        verify(suite_copy)


def test_what_changes_no_score_may_change(suite_copy: Path) -> None:
    before = verify(suite_copy)
    (suite_copy / "README.md").write_text("explained")
    (suite_copy / "ERRATA.md").write_text("regretted")
    assert verify(suite_copy) == before


def test_a_suite_is_frozen_once(suite_copy: Path) -> None:
    with pytest.raises(LamarckError, match="is frozen already"):
        freeze(suite_copy)
    append(suite_copy)
    (suite_copy / "FROZEN").unlink()
    assert freeze(suite_copy) == verify(suite_copy)


def test_sha256sum_reads_it(suite_copy: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "FROZEN"], cwd=suite_copy, check=True)
