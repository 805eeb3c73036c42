"""One thread a process: two processes of two threads on two cores are ten times slower than one after the other."""

import os
from pathlib import Path

# What the tests start is of this checkout, also where its .venv is a link to another's.
os.environ["PYTHONPATH"] = os.pathsep.join(
    str(Path(__file__).parents[1] / code) for code in (".", "plugins/snakemake-executor-plugin-runpod/src")
)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
# glibc would hand what each step of a generation frees back to the system, which empties it again for the next.
os.environ["MALLOC_TRIM_THRESHOLD_"] = str(2**29)
os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**25)

import shutil
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from lamarck.judging.sandbox import Sandbox, SandboxUnavailable
from tests.runpod.container import why_unavailable
from tests.runpod.fake import FakeRunPod

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A shell starts what it does not wait for with the first ignored, nohup with the second, and they stay so in all that
# is started from there.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Fixtures of more than one folder's tests.
pytest_plugins = ["tests.costs", "tests.suites.small"]

# No GPU, no user's profile, and nothing of the browser's own that asks the network.
BROWSER_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="directory for pictures of the pages that the tests open")


@pytest.fixture(autouse=True, scope="module")
def environment_as_it_was() -> Iterator[None]:
    """What the code under test sets for its process, which ends with it elsewhere, is not another file's."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Where it cannot be built, the tests that need it are named as not run; in CI that is a failure."""
    try:
        return Sandbox()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


# A module's, because its loop keeps every other use of asyncio out of the process for as long as it lives.
@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium, headless. Where there is none, the tests that need it are named as not run; in CI that is a failure."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(BROWSER_FLAGS))
        yield opened
        opened.close()


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


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The Python of vLLM's environment. Where there is none: as with the sandbox."""
    python = Path(".venv-vllm/bin/python").absolute()
    if not (python.parents[1] / "installed").exists():
        if os.environ.get("CI"):
            pytest.fail("vLLM's environment is missing: `make vllm`")
        pytest.skip("vLLM's environment is missing: `make vllm`")
    return python


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: tests.tiny's world, learned for a few seconds; it answers, and ends its answers."""
    from lamarck.founder.tiny import pretrain
    from tests.tiny import WORLD

    path = tmp_path_factory.mktemp("tiny") / "weights"
    path.mkdir()
    pretrain(WORLD, frozenset(), path, 0, lambda steps: None)
    return path
