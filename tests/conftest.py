"""One thread a process: two processes of two threads on two cores are ten times slower than one after the other."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator

import pytest

from lamarck.eval.sandbox import Sandbox, SandboxUnavailable
from tests.runpod.container import why_unavailable
from tests.runpod.fake import FakeRunPod


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Where it cannot be built, the tests that need it are named as not run; in CI that is a failure."""
    try:
        return Sandbox()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def runpod(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRunPod]:
    """An account at a RunPod of our own, its key exported. Where pods cannot be built: as with the sandbox."""
    if reason := why_unavailable():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    fake = FakeRunPod(tmp_path_factory.mktemp("runpod"))
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    yield fake
    fake.close()
