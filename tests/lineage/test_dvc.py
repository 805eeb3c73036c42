"""What DVC is told about a lineage, and what it then pushes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lamarck.config import load_config
from lamarck.lineage.dvc import record_outputs
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

CONFIG = Path("config/default.yaml")


def pushed(remote: Path) -> set[bytes]:
    return {path.read_bytes() for path in remote.rglob("*") if path.is_file()}


def test_another_checkout_gets_all_that_is_in_the_results(
    lineage: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    remote = tmp_path / "remote"
    for command in (
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("dvc", "remote", "add", "--quiet", "--default", "here", str(remote)),
    ):
        subprocess.run(command, check=True)
    record_outputs(load_config(CONFIG), CONFIG)
    subprocess.run(["dvc", "push", "--quiet"], check=True)
    directories = [Path("results/g0/weights"), Path("results/g1/adapter")]
    before = {path: path.read_bytes() for directory in directories for path in directory.iterdir()}
    assert set(before.values()) <= pushed(remote)
    for directory in (*directories, Path(".dvc/cache")):
        shutil.rmtree(directory)
    subprocess.run(["dvc", "pull", "--quiet"], check=True)
    assert {path: path.read_bytes() for path in before} == before
