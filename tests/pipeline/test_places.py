"""A checkout works wherever it lies: in a directory that only its owner can enter, whatever the directory's name, with
an environment that is a link, and with a configuration whose name has spaces. That a whole lineage is raised in such a
place: every project of these tests lies in one."""

import shutil
import stat
import sys
from pathlib import Path

from tests.pipeline.conftest import PLACE, Project


def test_with_a_linked_environment_and_a_configuration_of_ones_own(blank: Project, tmp_path: Path) -> None:
    project = blank.copy(tmp_path / PLACE)
    project.root.chmod(stat.S_IRWXU)
    (project.root / ".venv").symlink_to(sys.prefix)
    shutil.copy(project.root / "config/default.yaml", project.root / "config/my own.yaml")
    options = ("--configfile", "config/my own.yaml")
    planned = project.run(".venv/bin/snakemake", "--dry-run", "--printshellcmds", "--quiet", "host", *options).stdout
    assert "--config 'config/my own.yaml'" in planned
    project.run(".venv/bin/snakemake", "results/g0/student", *options)
    assert (project.root / "results/g0/student/model.safetensors").exists()
    assert "student" not in project.run(".venv/bin/snakemake", "--dry-run", "results/g0/eval.json").stdout.split()
    assert "There is work left" in project.run(".venv/bin/lamarck", "status", *options).stdout


def test_make_finds_its_way(blank: Project) -> None:
    """The recipes' own commands, without what they would install or run."""
    blank.run("make", "--dry-run", "test", "check", "demo", "soak")
    printed = blank.run("make", "--old-file=.venv/developer", "--eval=where:;@command -v python", "where").stdout
    assert Path(printed.splitlines()[-1]) == Path(sys.executable)
