"""A signal while something is imported that must not be interrupted."""

import select
import signal
import subprocess
import sys
import textwrap

import pytest

from lamarck.serve.held_back import held_back

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", ALL)
def test_it_is_answered_at_the_end_as_it_would_have_been(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.signal(number, lambda number, frame: said.append("told to stop"))
    try:
        with held_back(ALL):
            signal.raise_signal(number)
            signal.raise_signal(number)
            said.append("imported")
    finally:
        signal.signal(number, before)
    assert said == ["imported", "told to stop"]
    assert signal.getsignal(number) is before


def test_one_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with held_back(ALL):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_import_of_torch_survives_it() -> None:
    """Not held back, a signal in the part of it that is C++ aborts the process, and any other ends it half imported."""
    program = """
        import signal
        from lamarck.serve.held_back import held_back
        with held_back((signal.SIGINT,)):
            print("begins", flush=True)
            import torch
            print("imported", flush=True)
            input()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=-1, stdout=-1, stderr=-1, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    # None is sent once it may end: a second one could come while it says why it ends.
    while not select.select([process.stdout], [], [], 0.05)[0]:
        process.send_signal(signal.SIGINT)
    said, trace = process.communicate("\n")
    assert said == "imported\n" and trace.endswith("KeyboardInterrupt\n"), trace
