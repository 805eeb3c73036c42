"""Processes that are started together end together, with one sentence, whichever of them fails and how."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from lamarck.config import StageMachine
from lamarck.errors import LamarckError
from lamarck.train.launch import run_on
from lamarck.train.team import Team

PAIR = StageMachine(count=2)
ROOT = Path(__file__).parents[2]


def fail(how: str, directory: Path, team: Team) -> None:
    """The second process fails while the first waits for it."""
    (directory / str(os.getpid())).touch()
    team.leaders(0.0)
    if team.rank == 1:
        if how == "sentence":
            raise LamarckError("this is what went wrong")
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "bug":
            raise ZeroDivisionError("of all things")
        time.sleep(600)
    team.leaders(0.0)


def alive(directory: Path) -> list[str]:
    """Process numbers; one that has ended and that nobody has asked about is a zombie, Z."""
    states = {path.name: Path(f"/proc/{path.name}/stat") for path in directory.iterdir()}
    return [
        name for name, stat in states.items() if stat.exists() and stat.read_text().rsplit(")")[1].split()[0] != "Z"
    ]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("sentence", "this is what went wrong"),
        ("killed", "process 2 of 2 was ended by SIGKILL; the last checkpoint is kept: run again to go on"),
    ],
)
def test_one_that_fails_ends_the_others_with_its_sentence(how: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(LamarckError) as error:
        run_on(PAIR, partial(fail, how, tmp_path))
    assert str(error.value) == said
    assert len(list(tmp_path.iterdir())) == 2
    assert not alive(tmp_path)


def test_a_bug_keeps_its_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LamarckError, match=r"process 2 of 2 failed; the last checkpoint is kept"):
        run_on(PAIR, partial(fail, "bug", tmp_path))
    assert "ZeroDivisionError: of all things" in capsys.readouterr().err


WAITING = """
import sys
from functools import partial
from pathlib import Path
from lamarck.train.launch import run_on
from tests.train.test_launch import PAIR, fail
if __name__ == "__main__":
    run_on(PAIR, partial(fail, "waits", Path(sys.argv[1])))
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_who_ends_the_command_ends_all(how: signal.Signals, tmp_path: Path) -> None:
    """One process waits for the other within a collective, which only a signal's default action ends."""
    command = subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)], cwd=ROOT)
    while len(list(tmp_path.iterdir())) < 2:
        assert command.poll() is None
        time.sleep(0.05)
    command.send_signal(how)
    assert command.wait(timeout=600) == -how
    until = time.monotonic() + 600
    while alive(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_planned_on_gpus_is_not_trained_without(count: int, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(LamarckError, match=rf"planned on {count} x H100 SXM, but the GPUs seen here are 0"):
        run_on(StageMachine(gpu="H100 SXM", count=count), partial(fail, "sentence", tmp_path))
    assert not list(tmp_path.iterdir())
