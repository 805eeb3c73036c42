from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runpod.project import Small, make_small


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    project = make_small(tmp_path / "a naïve place" / "small")
    yield project
    project.stop()
