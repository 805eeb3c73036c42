"""What a rented machine lacks is said in one sentence; machines with GPUs are looked at by tests/engine/test_gpu.py."""

import subprocess
import sys

import pytest
import torch

from lamarck.errors import LamarckError
from lamarck.eval.preflight import COUNT, KIND, SeenGpu, check
from lamarck.judging.sandbox import Sandbox

H200 = SeenGpu("NVIDIA H200", free=149 * 10**9, total=150 * 10**9)


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        ([], "torch sees 0 GPUs, not the 2 that were rented"),
        ([H200], "torch sees 1 GPUs, not the 2"),
        ([H200, SeenGpu("NVIDIA H100 80GB HBM3", 80, 80)], "torch sees a NVIDIA H100 80GB HBM3, not the NVIDIA H200"),
        ([H200, SeenGpu("NVIDIA H200", 50 * 10**9, 150 * 10**9)], "has 33% of its memory free"),
    ],
)
def test_other_gpus_than_were_rented(seen: list[SeenGpu], sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        check(seen, "NVIDIA H200", 2)


def test_the_gpus_that_were_rented() -> None:
    check([H200, H200], "NVIDIA H200", 2)


def test_the_commands_of_a_profile(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def preflight(what: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "lamarck.eval.preflight", what], capture_output=True, text=True)

    done = preflight("sandbox")
    assert (done.returncode, done.stdout) == (0, "the sandbox can be built here\n")
    monkeypatch.setenv(KIND, "NVIDIA Z")
    monkeypatch.setenv(COUNT, "9")
    done = preflight("gpus")
    assert done.returncode == 1
    assert f"torch sees {torch.cuda.device_count()} GPUs, not the 9 that were rented" in done.stderr
    assert "Traceback" not in done.stderr
