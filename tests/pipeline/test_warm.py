"""A stage in the warm process is the stage of the checkout, and ends as it would on its own."""

from pathlib import Path

import pytest

from tests.pipeline.conftest import QUIET, REPOSITORY, Project

TELLS = """
import atexit, os, sys, threading, time
print("torch" in sys.modules, os.getcwd(), sys.argv[1:], os.environ["SAID"], flush=True)
if "killed" in sys.argv:
    os.kill(os.getpid(), 9)
if "raised" in sys.argv:
    raise ValueError("of all things")
if "late" in sys.argv:
    atexit.register(print, "at its end")
    threading.Thread(target=lambda: (time.sleep(0.1), print("and its threads'"))).start()
sys.exit("in words" if "late" in sys.argv else 3)
"""
# A Snakefile that tells which of our modules it finds imported, and where they and what they name lie.
TELLS_OF_MODULES = """
import sys

found = "lamarck.judging.outer_room" in sys.modules
import lamarck.judging.outer_room
import lamarck.seal
import lamarck.seeds

places = [lamarck.seeds.__file__, lamarck.seal.__file__, lamarck.judging.outer_room.PROGRAM]
print("tells", found, hasattr(lamarck.seeds, "CHANGED"), *places, sep="|", file=sys.stderr)


rule all:
    shell: "true"
"""


@pytest.fixture(scope="module")
def project(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = blank.copy(tmp_path_factory.mktemp("warm") / "project")
    (project.root / "lamarck/tells.py").write_text(TELLS)
    return project


def told(project: Project, *arguments: str, **changes: str) -> tuple[int, str]:
    settings = QUIET | {"SAID": "so"} | changes
    command = ("env", *(f"{name}={value}" for name, value in settings.items()), "python", "-m", "lamarck.tells")
    done = project.run(*command, *arguments, check=False)
    return done.returncode, done.stdout


def test_it_runs_the_checkouts_code_where_it_was_asked_to(project: Project) -> None:
    assert told(project, "a", "b c") == (3, f"True {project.root} ['a', 'b c'] so\n")
    assert told(project, "killed")[0] == -9
    code, said = told(project, "late")
    assert (code, said.splitlines()[1:]) == (1, ["in words", "and its threads'", "at its end"])
    code, said = told(project, "raised")
    assert code == 1 and said.endswith("ValueError: of all things\n") and said.startswith("True")


@pytest.mark.parametrize("changed", ["HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY"])
def test_what_the_libraries_read_at_import_is_not_another_commands(project: Project, changed: str) -> None:
    assert told(project, **{changed: "0"}) == (3, f"False {project.root} [] so\n")


def test_our_own_modules_are_the_checkouts(blank: Project, tmp_path: Path) -> None:
    """The wrong implementations: what is imported already is taken for a checkout's whose code is another; what its
    modules name is still this checkout's."""
    project = blank.copy(tmp_path / "project")
    (project.root / "tells.smk").write_text(TELLS_OF_MODULES)
    names = ("seeds.py", "seal.py", "judging/template.py")

    def tells() -> list[str]:
        said = project.snakemake("--snakefile", "tells.smk", "--dry-run").splitlines()
        return next(line for line in said if line.startswith("tells")).split("|")

    places = [str(project.root / "lamarck" / name) for name in names]
    assert tells() == ["tells", "True", "False", *places]
    (project.root / "lamarck/files.py").touch()  # as in a clone: its content is the same
    assert tells() == ["tells", "True", "False", *places]
    with (project.root / "lamarck/seeds.py").open("a") as file:
        file.write("CHANGED = True\n")
    assert tells() == ["tells", "False", "True", *places]


def test_commands_are_of_this_checkout(project: Project) -> None:
    """Also where its .venv is a link to another checkout's."""
    names = ("lamarck", "snakemake_executor_plugin_runpod")
    places = [project.run("python", "-P", "-c", f"import {name}; print({name}.__file__)").stdout for name in names]
    assert [Path(place).is_relative_to(REPOSITORY) for place in places] == [True, True]
