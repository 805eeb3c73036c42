"""`lamarck serve --engine vllm`: vLLM's server under watch. How it answers: tests/pipeline/test_serve.py."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.serve.test_run import lamarck, project, recorded  # noqa: F401  a checkout with a founder

Started = subprocess.Popen[str]


@pytest.fixture
def serve(recorded: Path, vllm_python: Path, tmp_path: Path) -> Iterator[Callable[..., Started]]:  # noqa: F811
    """`lamarck serve g0` of a configuration that generates with vLLM, and so serves with it; changes are to that."""
    started: list[Started] = []

    def start(**changes: object) -> Started:
        engine = {"kind": "vllm", "python": str(vllm_python)} | changes
        config = yaml.safe_load((recorded / "config/default.yaml").read_text()) | {"engine": engine}
        (tmp_path / "vllm.yaml").write_text(yaml.safe_dump(config))
        started.append(lamarck(recorded, "serve", "g0", "--port", "0", "--configfile", str(tmp_path / "vllm.yaml")))
        return started[-1]

    yield start
    for server in started:
        server.kill()
        server.communicate()


def vllm_of(server: Started, at_least: int) -> list[psutil.Process]:
    """The processes of vLLM that it has started, as soon as there are so many."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if len(found := psutil.Process(server.pid).children(recursive=True)) >= at_least:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def none_is_left(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=600)
    return not alive


def test_without_its_environment(recorded: Path) -> None:  # noqa: F811
    server = lamarck(recorded, "serve", "g0", "--engine", "vllm", "--port", "0")
    said, _ = server.communicate(timeout=600)
    expected = "error: .venv-vllm/bin/python does not exist: `make vllm` makes vLLM's environment"
    assert (server.returncode, said.count("\n")) == (1, 1) and said.startswith(expected), said


def test_what_vllm_cannot_do_is_said_in_its_words(serve: Callable[..., Started]) -> None:
    server = serve(max_length=100_000)
    said, _ = server.communicate(timeout=600)
    assert server.returncode == 1
    last = said.splitlines()[-1]
    assert last.startswith("error: vLLM did not start: it ended with exit code 1") and "max_model_len" in last, said


def test_a_hang_up_while_it_loads_ends_it_in_peace(serve: Callable[..., Started]) -> None:
    server = serve()
    processes = vllm_of(server, at_least=1)
    time.sleep(2)
    server.send_signal(signal.SIGHUP)
    said, _ = server.communicate(timeout=600)
    assert (server.returncode, said.splitlines()[-1]) == (0, "stopped"), said
    assert none_is_left(processes)


def test_it_goes_with_all_its_processes_when_we_are_killed(serve: Callable[..., Started]) -> None:
    server = serve()
    processes = vllm_of(server, at_least=3)  # the server, the engine behind it, and what keeps count of their memory
    server.kill()
    assert none_is_left(processes)
