"""What DVC is told about a lineage, and what it then pushes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.lineage.dvc import record_outputs
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

CONFIG = Path("config/default.yaml")
DVC = Path(sys.executable).parent / "dvc"


def pushed(remote: Path) -> set[bytes]:
    return {path.read_bytes() for path in remote.rglob("*") if path.is_file()}


@pytest.fixture
def with_dvc(lineage: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """As where nobody activated the environment. The fault: `.venv/bin/lamarck campaign run` ended with a trace."""
    elsewhere = [folder for folder in os.get_exec_path() if not (Path(folder) / "dvc").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(elsewhere))
    for command in (("git", "init", "--quiet"), (DVC, "init", "--quiet")):
        subprocess.run(command, check=True)


def test_what_dvc_says_is_passed_on(with_dvc: None) -> None:
    """Of a file as a merge leaves it."""
    Path("dvc.lock").write_text("<<<<<<< ours\nschema: '2.0'\n=======\nstages: {}\n>>>>>>> theirs\n")
    with pytest.raises(LamarckError, match=r"dvc status failed, so dvc.lock is not up to date: .*dvc.lock") as error:
        record_outputs(load_config(CONFIG), CONFIG)
    assert "\n" not in str(error.value)


def test_another_checkout_gets_all_that_is_in_the_results(
    with_dvc: None,
    tmp_path: Path,
) -> None:
    remote = tmp_path / "remote"
    subprocess.run((DVC, "remote", "add", "--quiet", "--default", "here", str(remote)), check=True)
    record_outputs(load_config(CONFIG), CONFIG)
    subprocess.run([DVC, "push", "--quiet"], check=True)
    directories = [Path("results/g0/weights"), Path("results/g1/adapter")]
    before = {path: path.read_bytes() for directory in directories for path in directory.iterdir()}
    assert set(before.values()) <= pushed(remote)
    for directory in (*directories, Path(".dvc/cache")):
        shutil.rmtree(directory)
    subprocess.run([DVC, "pull", "--quiet"], check=True)
    assert {path: path.read_bytes() for path in before} == before
