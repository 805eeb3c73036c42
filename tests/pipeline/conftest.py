"""A real project in a temporary directory: the repository's own rules, code and commands, at a smaller size."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from lamarck.suites.frozen import freeze
from tests.environment import in_default_environment
from tests.pipeline.warm import OF_DVC, OF_PROGRAMS, OF_STAGES, own_of_programs, own_of_stages, start_warm

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Every project of these tests lies in a directory like that: its name must make no difference.
PLACE = "a place with spaces, in Köln"

WORLD = {
    "kind": "tiny",
    "skills": {
        "json_mode": {"share": 1, "weights": [2, 1]},
        "list_ops": {"share": 1, "weights": [2, 1]},
        "arithmetic": {"share": 1, "weights": [1, 1]},
    },
    "steps": 300,
    "decay_steps": 100,
    "batch_size": 32,
}
STRATEGY = {
    "description": "Small, for the tests.",
    "skills": {
        "json_mode": {"share": 0.3, "difficulties": [1, 2]},
        "list_ops": {"share": 0.3, "difficulties": [1, 2]},
        "arithmetic": {"share": 0.4, "difficulties": [1, 2]},
    },
    "size": 160,
    "difficulty": {"kind": "following", "band": [0, 0.8]},
    "sampling": {"max_new_tokens": 40},
    "answers": {"temperatures": [0]},
    "probe_samples": 100,
    "samples_per_item": 6,
    "replay_per_cell": 10,
    "minimum_items": 10,
}

OWN = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": in_default_environment()["PYTHONPATH"]}
# What the rules tell their stages.
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore::FutureWarning",
}
# What lm-eval and torch set where they are imported: in this process, which no command of a user knows.
SET_BY_IMPORTS = {"HF_XET_HIGH_PERFORMANCE", "TORCHINDUCTOR_CACHE_DIR"}


def own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SET_BY_IMPORTS}


# Before any test changes it.
ENVIRONMENT = own_environment()


@cache
def warm_addresses(hash_seed: str) -> dict[str, str]:
    """Variable -> where the commands of that kind are handed over: tests/default_environment/sitecustomize.py."""
    environment = ENVIRONMENT | OWN | {"PYTHONHASHSEED": hash_seed}
    return {
        "TESTS_WARM_STAGES": start_warm(environment | QUIET, OF_STAGES, own_of_stages()),
        "TESTS_WARM_PROGRAMS": start_warm(environment, OF_PROGRAMS, own_of_programs()),
        "TESTS_WARM_DVC": start_warm(environment, OF_DVC),
    }


@dataclass(frozen=True)
class Project:
    """A checkout, and the commands that a user would type in it."""

    root: Path
    hash_seed: str = "1"  # of every Python process: what hangs on the order of a set hangs on it

    @property
    def environment(self) -> dict[str, str]:
        """Of every command: as after `activate`, no hub, and nothing but what the default environment has."""
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        own = OWN | {"PATH": path, "PYTHONHASHSEED": self.hash_seed}
        return own_environment() | own | warm_addresses(self.hash_seed)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command; both streams are in `stdout`. With `check`, fail the test when the command fails."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or done.returncode == 0, done.stdout
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        return self.run("snakemake", *arguments, check=check).stdout

    def approve(self, generation: str) -> str:
        plan = json.loads(self.run("lamarck", "review", generation, "--json").stdout)
        return self.run("lamarck", "approve", generation, "--by", "A Tester", "--digest", plan["short"]).stdout

    def read(self, path: str) -> Any:
        return json.loads((self.root / path).read_text())

    def config(self, **changes: Any) -> None:
        """Change top-level keys of the configuration."""
        path = self.root / "config/default.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))

    def with_hash_seed(self, seed: str) -> "Project":
        return replace(self, hash_seed=seed)

    def copy(self, target: Path) -> "Project":
        """Not by shutil.copytree, which takes four times as long. Files that are one stay two."""
        assert not target.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-RP", "--preserve=mode,timestamps", self.root, target], check=True)
        return Project(target)


Step = Callable[[Project], object]


def made_once(factory: pytest.TempPathFactory, name: str, start: Project | None, step: Step) -> Project:
    """`start` after `step`, which one of the test processes takes for all: each gets a copy of its own."""
    common = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    made = Project(common / PLACE / name)
    with FileLock(common / f"{name}.lock"):
        if not made.root.exists():
            made.root.parent.mkdir(exist_ok=True)
            begun = Path(tempfile.mkdtemp(dir=made.root.parent)) / name
            begun.mkdir() if start is None else start.copy(begun)
            step(Project(begun))
            begun.rename(made.root)
    return made.copy(factory.mktemp(name) / PLACE)


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A committed checkout with a small world and its suite; nothing has been run in it."""
    return made_once(tmp_path_factory, "blank", None, _check_out)


@pytest.fixture(scope="session")
def at_gate(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The founder has written the first curriculum; g1 waits for a human."""
    return made_once(tmp_path_factory, "at-gate", blank, Project.snakemake)


@pytest.fixture(scope="session")
def finished(at_gate: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Both generations and their control arms, approved, trained, scored and committed."""
    return made_once(tmp_path_factory, "finished", at_gate, _finish)


def _check_out(project: Project) -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    root = project.root
    for name in filter(None, files.split("\0")):
        if (REPOSITORY / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name, follow_symlinks=False)
    recipe = yaml.safe_load((root / "config/default.yaml").read_text())["recipe"]
    project.config(
        founder=WORLD,
        strategy="config/strategies/small.yaml",
        suite="config/suites/small",
        recipe=recipe | {"steps": 30, "batch_size": 16, "checkpoint_every": 10},
        budget={"device_seconds": 3600, "dollars": 3, "writing_seconds": 3600, "evaluating_seconds": 3600},
        engine={"kind": "hf", "threads": 1, "founder_threads": 1},
    )
    (root / "config/strategies/small.yaml").write_text(yaml.safe_dump(STRATEGY))
    project.run(
        *("python", "-m", "lamarck.suites.build", "--config", "config/default.yaml"),
        *("--output", "config/suites/small", "--seed", "1"),
    )
    _make_smaller(root / "config/suites/small")
    for command in (
        ("init", "--quiet"),
        ("config", "user.name", "A Tester"),
        ("config", "user.email", "tester@example.org"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "start"),
    ):
        project.run("git", *command)


def _make_smaller(suite: Path) -> None:
    """The suite with a student that has learned little, and with a ninth of the questions."""
    values = yaml.safe_load((suite / "suite.yaml").read_text())
    teaching = values["tiers"]["teaching"]
    teaching["student"] |= {"steps": 40, "decay_steps": 20, "batch_size": 16}
    teaching |= {"samples": 50, "epochs": 1}
    for task in values["tiers"]["engineering"]["tasks"]:
        if task["kind"] == "writing":
            task["samples"] = 20
    (suite / "suite.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for items in (suite / "items").iterdir():
        items.write_text("".join(items.read_text().splitlines(keepends=True)[:24]))
    (suite / "FROZEN").unlink()
    freeze(suite)


def _finish(project: Project) -> None:
    for generation in ("g1", "g2"):
        project.approve(generation)
        project.snakemake()
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "two generations")
