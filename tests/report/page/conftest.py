"""A small made-up lineage in a directory of its own: two generations with control arms, and two candidates."""

import shutil
from pathlib import Path

import pytest

from tests.report.page.synthetic import write_lineage


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "lineage"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_lineage(generations=2, candidates=2, items=120, outcomes=10)
    return root


@pytest.fixture
def lineage(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to alter, as the working directory."""
    root = tmp_path / "lineage"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    return root
