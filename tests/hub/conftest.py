"""A made-up lineage, a hub of our own, and the commands as a user types them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub.fake import WRITER, FakeHub, fake_hub
from tests.report.page.conftest import made  # noqa: F401  two generations with control arms

LAMARCK = Path(sys.executable).parent / "lamarck"


@dataclass(frozen=True)
class Place:
    """A project in its directory, and the hub that it talks to."""

    root: Path
    hub: FakeHub

    def environment(self, token: str | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE_"))}
        # A home without a token that an earlier login has left.
        return kept | {"HF_HOME": str(self.root.parent / "hf-home")} | self.hub.environment(token)

    def start(self, *arguments: str, token: str | None = WRITER) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LAMARCK, *arguments],
            cwd=self.root,
            env=self.environment(token),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, token: str | None = WRITER, fails: bool = False) -> str:
        """Both streams of a command that ends well, or with `fails`, with one sentence."""
        process = self.start(*arguments, token=token)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == int(fails), output
        if fails:
            assert output.splitlines()[-1].startswith("error: "), output
            assert "Traceback" not in output
        assert token is None or token not in output
        return output

    def publish(self, *options: str, generation: str = "g2", fails: bool = False, token: str | None = WRITER) -> str:
        """The commit, or with `fails`, the sentence."""
        output = self.run("publish", generation, "--repo", REPO, *options, fails=fails, token=token)
        return output if fails else output.split("\ncommit ")[1].split()[0]


REPO = "owner/lineage"


@pytest.fixture(scope="module")
def running() -> Iterator[FakeHub]:
    with fake_hub() as hub:
        yield hub


@pytest.fixture
def hub(running: FakeHub) -> FakeHub:
    running.reset()
    return running


@pytest.fixture
def place(made: Path, hub: FakeHub, tmp_path: Path) -> Place:  # noqa: F811
    root = tmp_path / "lineage"
    shutil.copytree(made, root)
    return Place(root, hub)


@pytest.fixture(scope="module")
def published(made: Path, running: FakeHub) -> tuple[Place, str]:  # noqa: F811
    """The lineage, published once for the tests that read it; and the commit."""
    place = Place(made, running)
    return place, place.publish()


@pytest.fixture
def elsewhere(published: tuple[Place, str], tmp_path: Path) -> Place:
    """The same project on another machine: its configuration, and nothing that was made."""
    place, _ = published
    root = tmp_path / "elsewhere"
    shutil.copytree(place.root / "config", root / "config")
    return Place(root, place.hub)
