"""What a person is told to do next works as it is pasted."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from lamarck.gate.standing import STARTED, command, go_on_with, remember_start
from tests.gate.project import G1


@pytest.mark.parametrize(
    ("configfile", "profile", "options"),
    [
        ("config/default.yaml", None, ""),
        ("config/my run.yaml", None, " --configfile 'config/my run.yaml'"),
        ("config/70b.yaml", "runpod", " --profile runpod --configfile config/70b.yaml"),
    ],
)
def test_who_approves_goes_on_as_the_run_was_started(configfile: str, profile: str | None, options: str) -> None:
    remember_start(configfile, profile)
    snakemake = command("snakemake")
    assert go_on_with(G1) == f"`{snakemake}{options}`"
    assert go_on_with(G1, Path("results/a b")) == f"`{snakemake} 'results/a b'{options}`"


def test_a_program_is_called_as_it_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By name on the path; else as README has it, also where the environment is a link."""
    programs = Path(sys.executable).parent
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin")
    assert command("snakemake") == "snakemake"
    monkeypatch.setenv("PATH", "/usr/bin")
    assert command("snakemake") == shlex.quote(os.path.relpath(programs / "snakemake"))
    Path(".venv").symlink_to(programs.parent)
    assert command("snakemake") == ".venv/bin/snakemake"


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"configfile": null}'])
def test_what_cannot_be_read_is_the_default(kept: str) -> None:
    STARTED.parent.mkdir(exist_ok=True)
    STARTED.write_text(kept)
    assert go_on_with(G1) == f"`{command('snakemake')}`"
