"""What DVC is told about a lineage, and what it then pushes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lamarck.config import Config, check_section, load_config
from lamarck.report.dvc import pipeline, record_outputs
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

CONFIG = Path("config/default.yaml")
HUB = {"kind": "hub", "repo": "owner/name", "revision": "a" * 40}


def with_founder(founder: dict[str, str]) -> Config:
    return check_section(yaml.safe_load(CONFIG.read_text()) | {"founder": founder}, Config, "test")


def pushed(remote: Path) -> set[bytes]:
    return {path.read_bytes() for path in remote.rglob("*") if path.is_file()}


@pytest.mark.parametrize("founder", ["tiny", "hub"])
def test_what_the_hub_serves_is_not_pushed(
    lineage: Path,  # noqa: F811
    founder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    config = with_founder(HUB) if founder == "hub" else load_config(CONFIG)
    remote = tmp_path / "remote"
    for command in (
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("dvc", "remote", "add", "--quiet", "--default", "here", str(remote)),
    ):
        subprocess.run(command, check=True)
    # The founder is told apart from the student, whose made-up weights are the same.
    weights = Path("results/g0/weights/model.safetensors")
    weights.write_bytes(b"the founder's weights")
    record_outputs(config, CONFIG)
    subprocess.run(["dvc", "push", "--quiet"], check=True)
    contents = pushed(remote)
    assert (weights.read_bytes() in contents) == (founder == "tiny")
    assert Path("results/g1/adapter/adapter_model.safetensors").read_bytes() in contents
    # Another checkout takes what DVC has, and leaves the founder to the rule that fetches it.
    for directory in (Path("results/g0/weights"), Path("results/g1/adapter"), Path(".dvc/cache")):
        shutil.rmtree(directory)
    subprocess.run(["dvc", "pull", "--quiet", "--allow-missing"], check=True)
    assert Path("results/g1/adapter/adapter_model.safetensors").exists()
    assert weights.exists() == (founder == "tiny")


def test_a_student_of_the_hub_is_not_pushed_either(lineage: Path) -> None:  # noqa: F811
    suite = Path("config/suites/tiny-v1/suite.yaml")
    content = yaml.safe_load(suite.read_text())
    content["tiers"]["teaching"]["student"] = HUB
    suite.write_text(yaml.safe_dump(content))
    outs = pipeline(load_config(CONFIG), CONFIG)["stages"]["student"]["outs"]
    assert outs == [{"results/g0/student": {"persist": True, "push": False}}]
