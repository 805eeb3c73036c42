"""The same Snakefile through a cluster's queue: a real Slurm of one node, the profile as it ships."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import BIN, Project
from tests.slurm import running, why_unavailable

# Without an accounting database, and asked more often than a cluster's controller likes to be.
PROFILE = (
    *("--profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where it is not installed, the tests that need it are named as not run; in CI that is a failure."""
    if reason := why_unavailable():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with running() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def jobs() -> list[str]:
    """What was ever submitted: its rule, and what it asked for."""
    asked = ["squeue", "--states=all", "--noheader", "--format=%k %b %T"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.usefixtures("slurm")
def test_a_child_is_trained_in_a_queue(at_gate: Project, finished: Project, tmp_path: Path) -> None:
    """The gate is held: nothing is submitted before somebody has answered."""
    project = at_gate.copy(tmp_path / "a place" / "project")
    assert "g1 waits for a human" in project.snakemake(*PROFILE)
    assert not jobs()
    project.approve("g1")
    # The environment, too, lies where names have spaces.
    environment = tmp_path / "an environment"
    environment.symlink_to(BIN.parent)
    project.run(str(environment / "bin/python"), "-m", "snakemake", *PROFILE, "results/g1/adapter")
    ((rule, asked, state),) = (job.split() for job in jobs())
    assert rule.startswith("rule_train_") and asked.endswith("gpu:1") and state == "COMPLETED"
    name = "results/g1/adapter/adapter_model.safetensors"
    assert (project.root / name).read_bytes() == (finished.root / name).read_bytes(), "not the child made here"
