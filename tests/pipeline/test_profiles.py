"""Every profile plans the same first steps; what a cluster would do with them, only a cluster shows."""

import re

import pytest
import yaml

from tests.pipeline.conftest import REPOSITORY, Project


@pytest.mark.parametrize("profile", ["runpod", "profiles/slurm", "profiles/kubernetes"])
def test_dry_run(blank: Project, profile: str) -> None:
    output = blank.snakemake("--dry-run", "--profile", profile)
    steps = {"founder": 1, "student": 1, "curriculum": 2, "plan": 1, "eval": 1}
    assert all(re.search(rf"^{rule} +{count}$", output, flags=re.MULTILINE) for rule, count in steps.items()), output
    assert "train" not in output, "nothing behind the gate is planned"


@pytest.mark.parametrize("profile", ["slurm", "kubernetes"])
def test_whatever_may_be_planned_on_a_gpu_asks_a_cluster_for_one(profile: str) -> None:
    """The fault: exams and primers would have run on a node without one, and stopped there."""
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    bodies = re.split(r"^ *(?:rule|checkpoint) (\w+):$", rules, flags=re.MULTILINE)[1:]
    on_machines = {name for name, body in zip(bodies[::2], bodies[1::2], strict=True) if "**rented(" in body}
    assert {"train", "eval", "exam", "curriculum"} <= on_machines
    asked = yaml.safe_load((REPOSITORY / "profiles" / profile / "config.yaml").read_text())["set-resources"]
    assert set(asked) == on_machines
