"""Images are not built here: a linter reads their files, and what they run is run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
IMAGES = sorted(REPOSITORY.glob("images/*.Containerfile"))


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
def test_the_linter_finds_nothing(image: Path) -> None:
    done = subprocess.run([BIN / "hadolint", image], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
def test_what_it_copies_is_there(image: Path) -> None:
    copies = [line.split()[1:-1] for line in image.read_text().splitlines() if line.startswith("COPY ")]
    assert copies
    for name in (name for names in copies for name in names):
        assert (REPOSITORY / name).exists(), name


# Of the pinned packages: those that a quantised training imports first, and what they need.
FEW = ("torch", "numpy", "pydantic", "pyyaml")


def test_a_new_pod_is_made_ready_once(tmp_path: Path) -> None:
    """The script that every new pod runs: the second time there is nothing to do. Of what is pinned it installs a few,
    because to compile all takes a minute, and this checkout's own environment has been made of them; that all can be
    installed together is asked of uv.
    """
    for name in ("profiles", "lamarck", "pyproject.toml", "README.md"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "envs", tmp_path / "envs")
    pins = (tmp_path / "envs/cpu.txt").read_text().splitlines()
    (tmp_path / "envs/cpu.txt").write_text("\n".join(pin for pin in pins if pin.partition("==")[0] in FEW))
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    if "PIP_FIND_LINKS" in environment:
        environment.setdefault("UV_FIND_LINKS", environment["PIP_FIND_LINKS"])

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert "4/4 packages" in run("bash", "profiles/runpod/setup.sh")
    assert list(tmp_path.glob(".venv/lib/python3.11/site-packages/torch/__pycache__/*.pyc")), "not byte-compiled"
    code = "import bitsandbytes, lamarck, torch; print(lamarck.__file__)"
    python = tmp_path / ".venv/bin/python"
    done = subprocess.run([python, "-I", "-c", code], cwd="/", capture_output=True, text=True)
    assert done.stdout.strip().endswith("lamarck/__init__.py"), done.stderr
    assert run("bash", "profiles/runpod/setup.sh") == "ready\n"
    every = (f"--requirement={REPOSITORY / 'envs' / name}.txt" for name in ("cpu", "qlora"))
    planned = run("uv", "pip", "install", "--dry-run", "--python", ".venv/bin/python", *every)
    assert "Would install" in planned and "+ transformers==" in planned
    shutil.rmtree(tmp_path / ".venv")  # gigabytes, which pytest would keep


# The CUDA version for which the wheels of a pin are built, and that a pod's driver must have. A new pin is looked up:
# its wheel on PyPI requires nvidia's packages of that version.
BUILT_FOR = {"torch==2.13.0": "13.0"}


def test_a_pod_is_asked_for_the_driver_that_the_wheels_need() -> None:
    pins = (REPOSITORY / "envs/cpu.txt").read_text().split("\n")
    needed = [BUILT_FOR.get(pin, f"the CUDA version of {pin}") for pin in pins if pin.startswith("torch==")]
    profile = yaml.safe_load((REPOSITORY / "profiles/runpod/config.yaml").read_text())
    assert [profile["runpod-min-cuda"]] == needed
