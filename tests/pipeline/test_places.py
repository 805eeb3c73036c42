"""A checkout works wherever it lies: in a directory that only its owner can enter, whatever the directory's name, with
an environment that is a link, and with a configuration whose name has spaces. That a whole lineage is raised in such a
place: every project of these tests lies in one."""

import json
import stat
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
    project.run(".venv/bin/snakemake", "results/g0/weights", "results/g0/student", *options)
    status = json.loads(project.run(".venv/bin/lamarck", "status", "--json", *options).stdout)
    founder = status["generations"][0]["artifacts"]
    assert founder["weights"] is None and founder["student"] is None, "made, and stale"


def test_make_finds_its_way(blank: Project) -> None:
    """The recipes' own commands, without what they would install or run."""
    blank.run("make", "--dry-run", "test", "check", "demo", "soak")
    # Under `make test` this make is a second one, which would tell of the directories that it enters.
    options = ("--no-print-directory", "--old-file=.venv/developer", "--eval=where:;@command -v python")
    printed = blank.run("make", *options, "where").stdout
    assert Path(printed.splitlines()[-1]) == Path(sys.executable)
