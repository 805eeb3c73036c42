"""A process that outlives the controller: where that is killed, or hangs, its pods are ended at once and not when they
notice by themselves.

    python -m snakemake_executor_plugin_runpod.watchdog      # started by a session; it reads lines on standard input

`renting NAME` before a pod is asked for, `rented ID DEADLINE` (seconds since the epoch) when it is there and whenever
its deadline changes, `ended ID`, and `done`. When the input ends without `done` the controller is gone.
"""

import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field

from snakemake_executor_plugin_runpod.api import Client, client_from_environment
from snakemake_executor_plugin_runpod.errors import RunPodError

# A controller ends its pods itself: so long after a deadline it has not.
LATE_SECONDS = 60.0
AGAIN_SECONDS = 15.0
PATIENCE_SECONDS = 3 * 3600.0


class Watchdog:
    """The controller's side. A watchdog that has died is no reason to stop: pods end themselves, too."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what stops the controller must not stop it
        )

    def tell(self, *words: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{' '.join(words)}\n".encode())
            self._process.stdin.flush()
        except OSError:
            return

    def close(self) -> None:
        """Nothing is left to be ended."""
        self.tell("done")
        self._process.wait()


@dataclass
class Watched:
    """Names of pods that may be, ids and deadlines of those that are."""

    names: set[str] = field(default_factory=set)
    deadlines: dict[str, float] = field(default_factory=dict)
    done: bool = False

    def hear(self, line: str) -> None:
        match line.split():
            case ["renting", name]:
                self.names.add(name)
            case ["rented", pod, deadline]:
                self.deadlines[pod] = float(deadline)
            case ["ended", pod]:
                self.deadlines.pop(pod, None)
            case ["done"]:
                self.done = True


def main() -> None:
    watched = Watched()
    client = client_from_environment()
    rest = b""
    while True:
        readable, _, _ = select.select([0], [], [], AGAIN_SECONDS)
        if readable:
            piece = os.read(0, 65536)
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                watched.hear(line.decode())
            if watched.done:
                return
        late = [pod for pod, deadline in watched.deadlines.items() if time.time() > deadline + LATE_SECONDS]
        for pod in late:
            if _end(client, pod):
                watched.deadlines.pop(pod, None)
    _end_all(client, watched)


def _end_all(client: Client, watched: Watched) -> None:
    """Those that are known first, then whatever else was asked for, until a list shows none of them."""
    until = time.monotonic() + PATIENCE_SECONDS
    left = set(watched.deadlines)
    while time.monotonic() < until:
        left -= {pod for pod in sorted(left) if _end(client, pod)}
        try:
            there = [pod.id for pod in client.pods() if pod.name in watched.names and not pod.is_over]
        except RunPodError:
            there = None
        if there == [] and not left:
            return
        left |= set(there or [])
        time.sleep(AGAIN_SECONDS if there is None else 1.0)


def _end(client: Client, pod: str) -> bool:
    try:
        client.delete(pod)
    except RunPodError:
        return False
    return True


if __name__ == "__main__":
    main()
