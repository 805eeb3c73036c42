"""However a command ends, what it has started ends with it: nothing goes on that nobody waits for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import psutil
import pytest

from lamarck.campaign.run import CampaignStopped, _snakemake
from lamarck.errors import LamarckError

ROOT = Path(__file__).parents[1]
T = TypeVar("T")

COMMAND = """
import sys
from lamarck.below import below
from lamarck.errors import exit_with_sentence

def main():
    with below(sys.argv[2:], patience=float(sys.argv[1])) as process:
        process.wait()
    sys.exit(process.returncode)

exit_with_sentence(main)
"""
# Who starts another one, which does not hear SIGINT: a shell starts so what it does not wait for at once.
TREE = "sleep 1000 & echo $! > inner; echo $$ > outer; wait"
NEVER = 3600.0  # seconds: what hears SIGINT has ended long before

Started = subprocess.Popen[str]
Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python program in a folder of its own; what it starts may write there who it is."""
    started: list[Started] = []

    def begin(program: str, *arguments: str, shell: str = 'exec "$@"') -> Started:
        command = ["sh", "-c", shell, "sh", sys.executable, "-c", program, *arguments]
        with (tmp_path / "said").open("w") as file:  # no pipe: what is left where a test fails would hold its end
            started.append(subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.DEVNULL, stderr=file))
        return started[-1]

    yield begin
    for each in started:
        each.kill()
    for name in ("inner", "outer"):  # where a test failed
        if (tmp_path / name).exists() and not is_gone(process_of(tmp_path / name)):
            os.kill(process_of(tmp_path / name), signal.SIGKILL)
    for each in started:
        each.wait()


def wait_until(condition: Callable[[], T]) -> T:
    """Its first true value."""
    until = time.monotonic() + 600
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return value


def process_of(path: Path) -> int:
    return int(wait_until(lambda: path.exists() and path.read_text().strip()))


def is_gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE  # nobody may be there to reap an orphan
    except psutil.NoSuchProcess:
        return True


def is_stopped(process: int) -> bool:
    return psutil.Process(process).status() == psutil.STATUS_STOPPED


def both(directory: Path) -> list[int]:
    return [process_of(directory / name) for name in ("inner", "outer")]


def said(directory: Path) -> str:
    """By the command, on standard error."""
    return (directory / "said").read_text()


def assert_ended(processes: list[int]) -> None:
    wait_until(lambda: all(map(is_gone, processes)))


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_signal_to_the_command_alone_ends_all(start: Start, tmp_path: Path, number: int, code: int) -> None:
    command = start(COMMAND, str(NEVER), "sh", "-c", TREE)
    processes = both(tmp_path)
    command.send_signal(number)
    assert command.wait(timeout=600) == code, said(tmp_path)
    assert_ended(processes)
    if code > 0:
        name = signal.Signals(number).name
        assert said(tmp_path) == f"error: {name} ended it, with all that it had started: run it again to go on\n"


def test_what_does_not_hear_it_is_killed_after_a_time(start: Start, tmp_path: Path) -> None:
    command = start(COMMAND, "0.2", "sh", "-c", f"trap '' INT; {TREE}")
    processes = both(tmp_path)
    command.terminate()
    assert command.wait(timeout=600) == 143
    assert_ended(processes)


def test_what_a_command_says_while_it_ends_does_not_hold_it_up(start: Start, tmp_path: Path) -> None:
    """More than a pipe holds, and nobody reads it any more."""
    program = COMMAND.replace("patience=float(sys.argv[1])", "patience=float(sys.argv[1]), stdout=-1")
    last = "trap 'head -c 1000000 /dev/zero; touch said; exit' INT"
    command = start(program, str(NEVER), "sh", "-c", f"{last}; {TREE}")
    processes = both(tmp_path)
    command.terminate()
    command.wait(timeout=600)
    assert (tmp_path / "said").exists()
    assert_ended(processes)


def test_a_program_that_ends_takes_along_what_it_left(start: Start, tmp_path: Path) -> None:
    command = start(COMMAND, str(NEVER), "sh", "-c", TREE)
    processes = both(tmp_path)
    os.kill(processes[1], signal.SIGKILL)  # as who has no memory any more
    assert command.wait(timeout=600) == 128 + signal.SIGKILL
    assert_ended(processes)


def test_where_a_hang_up_is_ignored_it_goes_on_and_still_ends_in_order(start: Start, tmp_path: Path) -> None:
    """nohup; and a shell starts what it does not wait for without SIGINT, by which what is below is told to end."""
    command = start(COMMAND, str(NEVER), "sh", "-c", TREE, shell="""trap '' HUP INT; exec "$@" """)
    processes = both(tmp_path)
    command.send_signal(signal.SIGHUP)
    command.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert command.poll() is None and not any(map(is_gone, processes))
    command.terminate()
    assert command.wait(timeout=600) == 143
    assert_ended(processes)


def test_ctrl_z_holds_all_of_it(start: Start, tmp_path: Path) -> None:
    command = start(COMMAND, str(NEVER), "sh", "-c", TREE)
    processes = both(tmp_path)
    command.send_signal(signal.SIGTSTP)
    wait_until(lambda: all(map(is_stopped, [command.pid, *processes])))
    command.send_signal(signal.SIGCONT)
    wait_until(lambda: not any(map(is_stopped, [command.pid, *processes])))
    command.send_signal(signal.SIGTSTP)
    wait_until(lambda: all(map(is_stopped, [command.pid, *processes])))
    command.kill()  # also then
    assert_ended(processes)


@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize(
    ("ending", "fault"),
    [
        ("echo 'Terminating processes on user request, this might take some time.'; exit 1", False),
        ("kill -9 $$", False),
        ("exit 1", True),
    ],
)
def test_a_signal_that_ends_snakemake_is_no_fault_of_what_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, fault: bool, keep_going: bool
) -> None:
    """Else a member would be entered as failed, and a ratchet's candidate as a crash."""
    program = tmp_path / "snakemake"
    program.write_text(f"#!/bin/sh\n{ending}\n")
    program.chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.chdir(tmp_path)
    campaign: Any = SimpleNamespace(name="c", file=SimpleNamespace(configfile="config.json"))
    if fault and keep_going:
        assert not _snakemake(campaign, ["made"], "c", 1, keep_going)
        return
    with pytest.raises(LamarckError, match="campaign c") as error:
        _snakemake(campaign, ["made"], "c", 1, keep_going)
    assert isinstance(error.value, CampaignStopped) == fault


# Of a real run, through what starts one: everything that raises lineages goes through one of these two.
SNAKEFILE = """
rule:
    output: "made"
    shell: "echo $$ > outer; test -e quick || sleep 1000; touch {output}"
"""
RUNS = {
    "demo": "from lamarck.commands.demo import _advance; run = lambda: _advance('config.json')",
    "campaign": """
from types import SimpleNamespace
from lamarck import progress
from lamarck.campaign.run import _snakemake
progress.LINE_EVERY_SECONDS = 0
campaign = SimpleNamespace(name="c", file=SimpleNamespace(configfile="config.json"))
run = lambda: _snakemake(campaign, ["made"], "c", 1)
""",
}


@pytest.mark.parametrize(("run", "number"), [("demo", signal.SIGTERM), ("campaign", signal.SIGKILL)])
def test_a_run_of_snakemake_ends_with_its_jobs_and_the_next_goes_on(
    start: Start, tmp_path: Path, run: str, number: int
) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    program = f"from lamarck.errors import exit_with_sentence\n{RUNS[run]}\nexit_with_sentence(run)"
    command = start(program)
    job = process_of(tmp_path / "outer")
    below = [each.pid for each in psutil.Process(command.pid).children(recursive=True)]
    assert job in below and len(below) > 2
    command.send_signal(number)
    assert command.wait(timeout=600) == (143 if number == signal.SIGTERM else -number)
    assert_ended(below)
    assert not (tmp_path / "made").exists()
    (tmp_path / "quick").touch()
    again = start(program)
    assert again.wait(timeout=600) == 0, said(tmp_path)
    assert (tmp_path / "made").exists()
    assert ("c: 1/1 steps" in said(tmp_path)) == (run == "campaign")
