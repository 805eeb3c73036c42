"""What a person is told to do next works as it is pasted."""

from pathlib import Path

import pytest

from lamarck.gate.standing import STARTED, go_on_with, remember_start
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
    assert go_on_with(G1).endswith(f"snakemake{options}`")
    assert go_on_with(G1, Path("results/a b")).endswith(f"snakemake 'results/a b'{options}`")


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"configfile": null}'])
def test_what_cannot_be_read_is_the_default(kept: str) -> None:
    STARTED.parent.mkdir(exist_ok=True)
    STARTED.write_text(kept)
    assert go_on_with(G1).endswith("snakemake`")
