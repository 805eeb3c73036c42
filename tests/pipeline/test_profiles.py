"""Every profile plans the same first steps; what a cluster would do with them, only a cluster shows."""

import re

import pytest

from tests.pipeline.conftest import Project


@pytest.mark.parametrize("profile", ["runpod", "profiles/slurm", "profiles/kubernetes"])
def test_dry_run(blank: Project, profile: str) -> None:
    arguments = ["--dry-run", "--profile", profile]
    if "kubernetes" in profile:
        # The checkout must lie on the shared volume: here, that is where it lies.
        arguments += ["--default-storage-prefix", str(blank.root)]
    output = blank.snakemake(*arguments)
    steps = {"founder": 1, "student": 1, "curriculum": 2, "plan": 1, "eval": 1}
    assert all(re.search(rf"^{rule} +{count}$", output, flags=re.MULTILINE) for rule, count in steps.items()), output
    assert "train" not in output, "nothing behind the gate is planned"
