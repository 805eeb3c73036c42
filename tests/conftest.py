"""One thread a process: two processes of two threads on two cores are ten times slower than one after the other."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest

from lamarck.eval.sandbox import Sandbox, SandboxUnavailable


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Where it cannot be built, the tests that need it are named as not run; in CI that is a failure."""
    try:
        return Sandbox()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: tests.tiny's world, learned for a few seconds; it answers, and ends its answers."""
    from lamarck.g0.tiny import pretrain
    from tests.tiny import WORLD

    path = tmp_path_factory.mktemp("tiny") / "weights"
    path.mkdir()
    pretrain(WORLD, frozenset(), path, 0, lambda steps: None)
    return path
