"""Helper processes in another environment, spoken to in JSON lines over their standard input and output. Light."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.visible import visible

LAST_LINES = 4
LONGEST_LINE = 300  # characters of each
# Of a traceback, as Python prints it or vLLM logs it: what is not its reason.
FRAME = re.compile(r"(\(\w+ pid=\d+\) (ERROR \S+ \S+ \[\S+\] )?)?(Traceback \(.*|  File \".*|    .*)")
REFUSED = 3  # the exit code of a helper whose last line is all there is to say
PATIENCE = 30.0  # seconds that a helper has to end after its input did


class Refused(LamarckError):
    """A helper's own sentence about why it cannot do what it was told."""


class Helper:
    """`python` runs `program`. What it prints on standard error goes on to ours, and the last lines into its obituary.

    The helper is to end when its input does: that is how it learns that we are gone, however we went.
    """

    def __init__(self, python: Path, program: Path, environment: dict[str, str]) -> None:
        # Isolated: neither our PYTHONPATH nor the program's folder belongs to the other environment.
        command = [str(python), "-I", str(program)]
        # A session of its own, so that it can end with all that it has started, and Ctrl-C is ours to hear.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._pump = threading.Thread(target=_pass_on, args=(self._process, self._last), daemon=True)
        self._pump.start()
        self.end = weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self.end.alive and self._process.poll() is None

    def tell(self, message: dict[str, Any]) -> None:
        """Send one line. Errors: LamarckError with the helper's last words, if it has ended."""
        assert self._process.stdin
        if not self.end.alive:
            raise self.obituary()
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self.obituary() from None

    def obituary(self) -> LamarckError:
        """How it ended, after the end of all that it has started: Refused where it says so itself."""
        self.end()
        self._pump.join(timeout=1)
        code = self._process.returncode
        if code == REFUSED and self._last:
            return Refused(visible(self._last[-1], LONGEST_LINE))
        how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
        said = " / ".join(visible(line, LONGEST_LINE) for line in self._last)
        return LamarckError(f"it ended with {how}; its last words: {said or 'none'}")


class Worker(Helper):
    """One that answers every line."""

    def ask(self, request: dict[str, Any], on_done: Callable[[int], None] = lambda finished: None) -> dict[str, Any]:
        """Send one request, and return its reply; the {"done": n} that come before it go to `on_done`.

        Errors: LamarckError with the worker's last words, if it ends instead.
        """
        assert self._process.stdout
        self.tell(request)
        for line in self._process.stdout:
            reply: dict[str, Any] = json.loads(line)
            if "done" not in reply:
                return reply
            on_done(reply["done"])
        raise self.obituary()


def _pass_on(process: "subprocess.Popen[str]", last: "deque[str]") -> None:
    assert process.stderr
    for line in process.stderr:
        sys.stderr.write(line)
        if line.strip() and not FRAME.match(line):
            last.append(line.strip())


def _end(process: "subprocess.Popen[str]") -> None:
    """Let it end by itself, then end what is left of its session."""
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    # Where it died without a chance to, what it had started is left.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
