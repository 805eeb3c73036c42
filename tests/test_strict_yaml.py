"""YAML in which what a person sees is what is parsed: everywhere that a person writes it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lamarck import strict_yaml
from lamarck.budget.machine import Catalogue
from lamarck.config import load_config
from lamarck.config.prompts import load_prompts
from lamarck.config.section import load_section
from lamarck.config.strategy import load_strategy
from lamarck.errors import LamarckError
from lamarck.suites.suite import load_suite
from lamarck.suites.tasks.load import load_task

ROOT = Path(__file__).parents[1]
# What somebody else published is kept as it was, in more than one document a file.
PUBLISHED = ROOT / "config/merges/lamarck-14b-v0.3"
SHIPPED = [
    path
    for folder in ("config", "profiles")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
    if not path.is_relative_to(PUBLISHED)
]

# What can be added to any file whose top is a mapping, and what is said of it.
ADDED = {
    "twice: 1\ntwice: 2\n": "'twice' stands there twice",
    "1: a\n0x1: b\n": "1 stands there twice",
    "<<: {a: 1}\n": "merge keys",
    "a: &here 1\nb: *here\n": "aliases are not read",
    "---\na: 1\n": "found another document",
    "a: .inf\n": ".inf is not a finite number",
    "a: -.Inf\n": "-.Inf is not a finite number",
    "a: 1.0e+999\n": "1.0e+999 is not a finite number",
    "a: .nan\n": ".nan is not a finite number",
    "a\u200b: 1\n": "invisible character U+200B",
    '"a\\u200b": 1\n': "a key holds the invisible character U+200B",
    "a: 1 # \u202e1 :a\n": "invisible character U+202E",
    "a: one\u2028b: two\n": "invisible character U+2028",
    "? [a]\n: 1\n": "a key must be a text or a number",
    f"a: {'9' * 5000}\n": "Exceeds the limit",
    f"a: {'[' * 2_000}\n": "nested too deep",
    "a: 2026-02-30\n": "day is out of range for month",
}
READERS: dict[str, Callable[[Path], object]] = {
    "config/default.yaml": load_config,
    "config/strategies/frontier.yaml": load_strategy,
    "config/prompts/reasoning.yaml": load_prompts,
    "config/machines.yaml": lambda path: load_section(path, Catalogue),
    "config/suites/tiny-v1/suite.yaml": lambda path: load_suite(path.parent),
    "config/suites/tiny-v1/tasks/arithmetic_2.yaml": lambda path: load_suite(path.parents[1]),
    "config/suites/v1r2/engineering/training_loop_ia3.yaml": load_task,
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_ships_means_the_same(path: Path) -> None:
    assert strict_yaml.load(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("added", ADDED, ids=[f"{text[:24]!r}" for text in ADDED])
def test_what_can_mean_two_things_is_one_sentence(added: str) -> None:
    with pytest.raises(LamarckError) as error:
        strict_yaml.loads(f"first: 0\n{added}".encode(), "some.yaml")
    assert str(error.value).startswith("some.yaml is not valid YAML: ")
    assert ADDED[added] in str(error.value)
    assert "\n" not in str(error.value)


def test_the_plain_loader_reads_what_is_refused_here() -> None:
    """The reader that this one replaces: the sentences above are not its own."""

    def is_read(text: str) -> bool:
        try:
            return bool(yaml.safe_load(f"first: 0\n{text}"))
        except (yaml.YAMLError, ValueError, RecursionError):
            return False

    assert sum(map(is_read, ADDED)) >= 11


@pytest.mark.parametrize("name", READERS)
def test_every_reader_is_as_strict(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("FROZEN"))
    monkeypatch.chdir(tmp_path)
    path, read = Path(name), READERS[name]
    read(path)
    text = path.read_text(encoding="utf-8")
    for added in ("twice: 1\ntwice: 2\n", "<<: {a: 1}\n", "---\na: 1\n", "# \u202e\n", "a: .inf\n"):
        path.write_text(f"{text}\n{added}", encoding="utf-8")
        with pytest.raises(LamarckError, match="is not valid YAML"):
            read(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(LamarckError, match="is not a regular file"):
        load_config(tmp_path / "config.yaml")


def test_a_text_may_hold_what_nobody_sees_where_it_is_written_out() -> None:
    assert strict_yaml.loads(b'a: "x\\u200dy"', "some.yaml") == {"a": "x\u200dy"}


def test_bytes_that_are_not_text_and_files_that_are_empty() -> None:
    assert strict_yaml.loads(b"# nothing\n", "some.yaml") is None
    with pytest.raises(LamarckError, match="not valid YAML"):
        strict_yaml.loads(b"\xff\xfe", "some.yaml")
