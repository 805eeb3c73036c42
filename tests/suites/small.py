"""A small suite from the real skills, for the tests of suites and of evaluation."""

import shutil
from pathlib import Path

import pytest

from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.skills import TAGGED
from lamarck.suites.build import build_suite
from lamarck.suites.designs import Design
from lamarck.suites.suite import Suite

WORLD = TinyFounder(kind="tiny", skills={name: SkillShare(share=1, weights=(3, 3, 2, 1)) for name in TAGGED})


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    cells = {"json_mode": range(1, 3), "arithmetic": range(2, 4), "list_ops": range(3, 5)}
    return build_suite(tmp_path_factory.mktemp("suites") / "small", 20260101, WORLD, Design(cells))


@pytest.fixture
def suite_copy(suite: Suite, tmp_path: Path) -> Path:
    """The suite's directory, to be damaged."""
    return shutil.copytree(suite.path, tmp_path / "suite")
