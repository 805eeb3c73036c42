"""What killed attempts spent stays spent, and nobody takes it back unseen."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from lamarck.errors import LamarckError
from lamarck.gate.journal import AHEAD, COUNTERS, Attempt, Journal, JournalLine, journal_of
from lamarck.seal import POD_KEYS, SECRET, key_of

PLAN = "a" * 64
ROOT = Path(__file__).parents[2]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.chdir(tmp_path)
    return journal_of("g1", PLAN)


def work(journal: Journal, processes: int) -> None:
    with journal.attempt(processes):
        signal.pause()


def kill_after(journal: Journal, lines: int, processes: int = 1) -> float:
    """Work until so many lines are there, then SIGKILL; the device-seconds that were written by then."""
    before = journal.spent()
    already = len(journal.read())
    worker = multiprocessing.get_context("fork").Process(target=work, args=(journal, processes))
    worker.start()
    while not journal.path.exists() or journal.path.read_bytes().count(b"\n") < already + lines:
        assert worker.is_alive()
        time.sleep(0.02)
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    return journal.spent() - before


@pytest.mark.parametrize("before", [0, 1])
def test_who_looks_while_it_is_written_sees_no_damage(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """`lamarck ratchet status` during a night: a long journal is read for longer than two lines lie apart."""
    for _ in range(before):
        journal.carry(1.0)

    def read(self: Journal, chained: Callable = Journal._chained) -> list[JournalLine]:
        monkeypatch.setattr(Journal, "_chained", chained)
        lines = chained(self)
        journal.carry(2.0)
        return chained(self) if not before else lines  # the first one came before it was looked at, or after

    monkeypatch.setattr(Journal, "_chained", read)
    assert journal.spent() == (1.0 if before else 2.0)
    assert journal.spent() == before + 2.0


def test_kills_add_up(journal: Journal) -> None:
    spent = [kill_after(journal, lines, processes=2) for lines in (1, 2, 3)]
    # The first second is paid before any work, by each of the processes; then more is written while it works.
    assert spent[0] >= 2 * AHEAD
    assert spent[0] < spent[1] < spent[2]
    assert journal.spent() == pytest.approx(sum(spent))
    with journal.attempt(1) as attempt:
        assert attempt.number == 4
        assert attempt.spent() >= sum(spent)
    # One that ends by itself gets back what it did not use.
    assert journal.spent() - sum(spent) < journal.read()[-2].device_seconds


class Clock(threading.Event):
    """Time that passes only where the journal's own thread waits: exactly as long as it means to; then it is told to
    end. `check`: called at the end of every wait, when most is spent since the line before."""

    def __init__(self, waits: int, check: Callable[[], None]) -> None:
        super().__init__()
        self.now, self.waits, self.check = 0.0, waits, check

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        self.waits -= 1
        self.check()
        return self.waits < 0


def test_a_line_for_every_second_of_work_is_there_before_it_is_spent(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong ones: a line every two seconds, and one that says what is spent already: a kill would take it back."""
    begun = len(threading.enumerate())
    behind = []
    clock = Clock(20, lambda: behind.append(2 * clock.now - attempt.lines[-1].device_seconds))
    monkeypatch.setattr("lamarck.gate.journal.time", SimpleNamespace(perf_counter=lambda: clock.now))
    journal.count([])
    attempt = Attempt(journal, [], 0.0, 1, 2, _started=0.0, _ended=clock)
    attempt.begin()
    attempt.end()
    written = [line.device_seconds for line in journal.read()]
    assert written[-1] == 2 * clock.now and clock.now > 5 and len(threading.enumerate()) == begun
    assert all(later - earlier <= 2.0 for earlier, later in pairwise(written))  # two processes: a second of each
    assert max(behind) <= 0


def test_another_plan_starts_at_nothing(journal: Journal) -> None:
    kill_after(journal, 1)
    assert journal_of("g1", "b" * 64).spent() == 0
    assert journal_of("control/g1", PLAN).spent() == 0


def test_half_a_line_is_what_a_kill_leaves(journal: Journal) -> None:
    with journal.attempt(1):
        pass
    spent = journal.spent()
    with journal.path.open("a") as file:
        file.write('{"attempt": 1, "dev')
    assert journal.spent() == spent
    with journal.attempt(1):
        pass
    assert [line.attempt for line in journal.read()] == [1, 1, 2, 2]


def edited(journal: Journal) -> None:
    first, *others = journal.path.read_text().splitlines()
    less = json.loads(first) | {"device_seconds": 0.001}
    journal.path.write_text("\n".join([json.dumps(less), *others]) + "\n")


def shortened(journal: Journal) -> None:
    journal.path.write_text("".join(journal.path.read_text().splitlines(keepends=True)[:-1]))


def emptied(journal: Journal) -> None:
    journal.path.write_text("")


def deleted(journal: Journal) -> None:
    shutil.rmtree(journal.path.parent)


def of_another_plan(journal: Journal) -> None:
    other = journal_of("g1", "b" * 64)
    with other.attempt(1):
        pass
    shutil.copy(other.path, journal.path)


def uncounted(journal: Journal) -> None:
    shutil.rmtree(COUNTERS)


def counted_less(journal: Journal) -> None:
    content = json.loads(journal.counter.read_text())
    journal.counter.write_text(json.dumps(content | {"lines": 1}))


def of_another_secret(journal: Journal) -> None:
    SECRET.unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (edited, "was edited in line 1"),
        (shortened, "was shortened"),
        (emptied, "was shortened"),
        (deleted, "is missing"),
        (of_another_plan, "was edited in line 1, or written elsewhere"),
        (uncounted, "was not written by this checkout"),
        (counted_less, "which was edited"),
        (of_another_secret, "or written elsewhere"),
    ],
)
def test_what_was_spent_is_not_taken_back(journal: Journal, change: Callable[[Journal], None], why: str) -> None:
    with journal.attempt(1):
        pass
    change(journal)
    journal = Journal(journal.path)  # as the next process sees it
    with pytest.raises(LamarckError, match=why), journal.attempt(1):
        pass


def test_a_pod_goes_on_with_the_journal_and_the_controller_counts_what_came_back(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with journal.attempt(1):
        pass
    spent, here = journal.spent(), os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lamarck.seal", str(journal.path.parent), "results/g1/checkpoint"]
    keys = subprocess.run(command, env=here, check=True, capture_output=True, text=True).stdout
    assert json.loads(keys)["results/g1/checkpoint"] == key_of(Path("results/g1/checkpoint")).hex()
    assert SECRET.read_text() not in keys

    pod = tmp_path / "pod"
    shutil.copytree(journal.path.parent, pod / journal.path.parent)
    with monkeypatch.context() as there:
        there.chdir(pod)
        there.setenv(POD_KEYS, keys)
        on_pod = Journal(journal.path)
        with on_pod.attempt(2) as attempt:
            assert attempt.before == spent
        assert not SECRET.exists()

    shutil.copytree(pod / journal.path.parent, journal.path.parent, dirs_exist_ok=True)
    count = [sys.executable, "-m", "lamarck.gate.journal", str(journal.path.parent)]
    subprocess.run(count, env=here, check=True)
    assert [line.attempt for line in journal.read()] == [1, 1, 2, 2]
    shortened(journal)
    refused = subprocess.run(count, env=here, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "was shortened" in refused.stderr


def test_the_secret_is_its_owners_alone(journal: Journal) -> None:
    with journal.attempt(1):
        pass
    assert SECRET.stat().st_mode & 0o777 == 0o600
    SECRET.chmod(0o644)
    with pytest.raises(LamarckError, match="chmod 600"):
        Journal(journal.path).spent()
