"""A checkout works wherever it lies: in a directory that only its owner can enter, whatever the directory's name, with
an environment that is a link, and with a configuration whose name has spaces. That a whole lineage is raised in such a
place: every project of these tests lies in one."""

import json
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import yaml

from tests.pipeline.conftest import PLACE, Project


def test_with_a_linked_environment_and_a_configuration_of_ones_own(blank: Project, tmp_path: Path) -> None:
    project = blank.copy(tmp_path / PLACE)
    project.root.chmod(stat.S_IRWXU)
    (project.root / ".venv").symlink_to(sys.prefix)
    values = yaml.safe_load((project.root / "config/default.yaml").read_text())
    values["founder"] |= {"steps": 5, "decay_steps": 2}
    (project.root / "config/my own.yaml").write_text(yaml.safe_dump(values))
    options = ("--configfile", "config/my own.yaml")
    # What is to be pasted next names both, in quotes.
    step = project.run("lamarck", "status", *options).stdout.splitlines()[-2]
    assert shlex.split(step.split("`")[1])[1:] == list(options)
    project.run(".venv/bin/snakemake", "results/g0/weights", "results/g0/student", *options)
    status = json.loads(project.run(".venv/bin/lamarck", "status", "--json", *options).stdout)
    founder = status["generations"][0]["artifacts"]
    assert founder["weights"] is None and founder["student"] is None, "made, and stale"


def test_in_a_worktree_of_a_shallow_clone_without_a_branch(blank: Project, tmp_path: Path) -> None:
    shallow, here = tmp_path / "shallow", tmp_path / "Bäume, mit Zweigen"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{blank.root}", shallow], check=True)
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", here], cwd=shallow, check=True)
    project = Project(here)
    assert "founder" in project.snakemake("--dry-run")
    lineage = here / "results/cross/lineage.yaml"
    lineage.parent.mkdir(parents=True)
    lineage.write_text("overlay: {seed: 5}\n")
    for command, sentence in (
        (("compare", "HEAD~1", "g0"), "this clone is shallow, and `git fetch --unshallow` brings the older ones"),
        (("publish", "cross/g1", "--repo", "owner/name"), "needs a token with write access in HF_TOKEN"),
    ):
        assert sentence in project.run("lamarck", *command, check=False).stdout


def test_a_target_behind_the_configuration_is_not_taken_for_one(blank: Project) -> None:
    """Snakemake merges every file that `--configfile` gets, a target that is there already among them."""
    options = ("--dry-run", "--configfile", "config/default.yaml", "config/strategies/small.yaml")
    said = blank.snakemake(*options, check=False)
    assert "as in `snakemake config/strategies/small.yaml --configfile config/default.yaml`" in said


def test_make_finds_its_way(blank: Project) -> None:
    """The recipes' own commands, without what they would install or run."""
    blank.run("make", "--dry-run", "test", "check", "demo", "soak")
    # Under `make test` this make is a second one, which would tell of the directories that it enters.
    options = ("--no-print-directory", "--old-file=.venv/developer", "--eval=where:;@command -v python")
    printed = blank.run("make", *options, "where").stdout
    assert Path(printed.splitlines()[-1]) == Path(sys.executable)
