"""Many runs in which something goes wrong at a random moment: none may leave a pod behind, or a wrong result.

make soak RUNS=200
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.runpod.fake import KINDS, FakePod, FakeRunPod, Fault
from tests.runpod.project import make_small

LEASE_SECONDS = 6.0
# A pod looks once a second whether its time is over, and asking takes a moment on a busy machine.
GRACE_SECONDS = 15.0
STEPS = 6
RIGHT = f"input\n{STEPS}\n"
SETTINGS = (
    *("--runpod-lease-minutes", str(LEASE_SECONDS / 60), "--runpod-silent-minutes", "0.05"),
    *("--runpod-wait-minutes", "0.1", "--runpod-start-minutes", "0.2", "--runpod-replacements", "2"),
)

Trouble = Callable[[FakeRunPod, "subprocess.Popen[str]", random.Random], None]


def signalled(number: int) -> Trouble:
    return lambda fake, run, dice: run.send_signal(number)


def lose(fake: FakeRunPod, run: "subprocess.Popen[str]", dice: random.Random) -> None:
    for pod in fake.running():
        fake.lose(pod)


def freeze(fake: FakeRunPod, run: "subprocess.Popen[str]", dice: random.Random) -> None:
    for pod in fake.running():
        pod.container.freeze()


def sell_out(fake: FakeRunPod, run: "subprocess.Popen[str]", dice: random.Random) -> None:
    fake.free.clear()
    lose(fake, run, dice)


def answer(status: int, done: bool = False) -> Trouble:
    def trouble(fake: FakeRunPod, run: "subprocess.Popen[str]", dice: random.Random) -> None:
        method = "POST" if done else dice.choice(["GET", "POST", "DELETE"])
        fake.faults.append(Fault(method, "/v2/.*", status, times=dice.randint(1, 2), done=done))

    return trouble


TROUBLES: dict[str, Trouble] = {
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGHUP": signalled(signal.SIGHUP),
    "SIGINT": signalled(signal.SIGINT),
    "SIGKILL": signalled(signal.SIGKILL),
    "pod lost": lose,
    "pod silent": freeze,
    "sold out": sell_out,
    "400": answer(400),
    "402": answer(402),
    "429": answer(429),
    "500": answer(500),
    "502 but done": answer(502, done=True),
}


@dataclass(frozen=True)
class Outcome:
    """`late`: seconds from the controller's end to the last pod's end."""

    trouble: str
    code: int
    pods: int
    late: float
    left: int
    wrong: bool


def one_run(fake: FakeRunPod, root: Path, dice: random.Random) -> Outcome:
    """Start a run, let something go wrong within its first seconds, and look what is left when it has ended."""
    small = make_small(root)
    small.slow_down(steps=STEPS, seconds=0.2)
    fake.faults.clear()
    fake.free = set(KINDS)
    before = len(fake.all_pods)
    trouble = dice.choice(sorted(TROUBLES))
    run = small.start(*SETTINGS, *small.one)
    # Most strike once there is a pod to lose; faults of the API, and one in five of the rest, from the start.
    later = not trouble[0].isdigit() and dice.random() < 0.8
    delay = dice.uniform(0, 8)

    def strike() -> None:
        while later and len(fake.all_pods) == before and run.poll() is None:
            time.sleep(0.05)
        time.sleep(delay if not trouble[0].isdigit() else 0)
        if run.poll() is None:
            TROUBLES[trouble](fake, run, dice)

    threading.Thread(target=strike, daemon=True).start()
    output, _ = run.communicate(timeout=900)
    ended = time.time()
    pods = fake.all_pods[before:]
    left, late = _wait_for_end(fake, pods, ended)
    result = root / "out/first.txt"
    wrong = result.read_text() != RIGHT if result.exists() else run.returncode == 0
    if wrong or left:
        print(output)
    return Outcome(trouble, run.returncode, len(pods), late, left, wrong)


def _wait_for_end(fake: FakeRunPod, pods: list[FakePod], ended: float) -> tuple[int, float]:
    while time.time() < ended + LEASE_SECONDS + GRACE_SECONDS and any(pod.ended is None for pod in pods):
        time.sleep(0.1)
    left = [pod for pod in pods if pod.ended is None]
    for pod in left:
        fake.lose(pod)
    return len(left), max((pod.ended - ended for pod in pods if pod.ended is not None), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.runpod.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as directory:
        fake = FakeRunPod(Path(directory) / "pods")
        os.environ.update(fake.environment)
        for number in range(arguments.runs):
            dice = random.Random(f"{arguments.seed}/{number}")
            outcomes.append(one_run(fake, Path(directory) / f"run-{number}", dice))
            print(f"{number + 1}/{arguments.runs}: {outcomes[-1]}", flush=True)
        fake.close()
    print(f"troubles: {dict(Counter(each.trouble for each in outcomes))}")
    print(f"ended well: {sum(each.code == 0 for each in outcomes)} of {len(outcomes)} runs")
    print(f"pods rented: {sum(each.pods for each in outcomes)}, left: {sum(each.left for each in outcomes)}")
    print(f"wrong results: {sum(each.wrong for each in outcomes)}")
    killed = [each.late for each in outcomes if each.code == -signal.SIGKILL]
    others = [each.late for each in outcomes if each.code != -signal.SIGKILL]
    print(
        f"last pod ended after its controller: {max(others, default=0):.1f} s at most; "
        f"{max(killed, default=0):.1f} s where that was killed (lease: {LEASE_SECONDS:g} s)"
    )
    sys.exit(any(each.left or each.wrong for each in outcomes))


if __name__ == "__main__":
    main()
