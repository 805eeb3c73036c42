"""Many runs in which something goes wrong at a random moment: none may leave a pod behind, a wrong result, or a dollar
above a ceiling. Every trouble meets runs of one lineage, and of two on pods of their own.

make soak RUNS=200
"""

import argparse
import json
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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_runpod.ledger import Ledger

from tests.runpod.container import descendants
from tests.runpod.controller import DOLLARS, RIGHT, account
from tests.runpod.fake import FakePod, FakeRunPod, Fault

REPOSITORY = Path(__file__).parents[2]
LEASE_SECONDS = 6.0
# A pod looks once a second whether its time is over, and asking takes a moment on a busy machine.
GRACE_SECONDS = 60.0
# No run may take longer: every wait in it has an end.
MOST_SECONDS = 300.0
RTX = "NVIDIA GeForce RTX 4090"
SETTINGS = {
    "lease_minutes": LEASE_SECONDS / 60,
    "silent_minutes": 0.05,
    "wait_minutes": 0.1,
    "start_minutes": 0.2,
    "replacements": 2,
    "min_cuda": "13.0",
    "whole": '[ -z "$RUNPOD_GPU" ] || unshare --user true',
}

Run = subprocess.Popen[str]
Trouble = Callable[[FakeRunPod, Run, random.Random], None]


def signalled(number: int) -> Trouble:
    return lambda fake, run, dice: run.send_signal(number)


def crash(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
    """The controller's machine, its watchdog included."""
    beside = descendants(run.pid)
    run.kill()
    for process in beside:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def lose(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
    for pod in fake.running():
        fake.lose(pod)


def freeze(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
    for pod in fake.running():
        pod.container.freeze()


def sell_out(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
    fake.free.clear()
    lose(fake, run, dice)


def answer(status: int, done: bool = False) -> Trouble:
    def trouble(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
        method = "POST" if done else dice.choice(["GET", "POST", "DELETE"])
        fake.faults.append(Fault(method, "/v2/.*", status, times=dice.randint(1, 2), done=done))

    return trouble


def odd(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
    fake.odd_pods += [{"id": "odd", "name": "x", "cost": "free"}, None]
    fake.odd_gpus += [{"id": "half"}, 3]


def set_to(**values: object) -> Trouble:
    """The account, or its machines, as the fake's fields say."""

    def trouble(fake: FakeRunPod, run: Run, dice: random.Random) -> None:
        for name, value in values.items():
            setattr(fake, name, value)

    return trouble


# Those of the first group strike at a random moment, mostly once there is a pod; the others are there from the start.
SUDDEN: dict[str, Trouble] = {
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGHUP": signalled(signal.SIGHUP),
    "SIGINT": signalled(signal.SIGINT),
    "SIGKILL": signalled(signal.SIGKILL),
    "crash": crash,
    "pod lost": lose,
    "pod silent": freeze,
    "sold out": sell_out,
}
STANDING: dict[str, Trouble] = {
    "400": answer(400),
    "402": answer(402),
    "405": answer(405),
    "429": answer(429),
    "500": answer(500),
    "502 but done": answer(502, done=True),
    "odd lists": odd,
    "another GPU": set_to(shows={RTX: ("NVIDIA RTX A4000", 16376, 1)}),
    "old drivers": set_to(cuda="12.8"),
    "no address": set_to(private=True),
    "lingers": set_to(lingers=2.0),
    "logs refused": set_to(log_status=403),
    "no sandbox": set_to(sandboxes=False),
    "no services": set_to(services=False),
    "dearer": set_to(price_factor=1.4),
    "much dearer": set_to(price_factor=20.0),
}
TROUBLES = SUDDEN | STANDING


@dataclass(frozen=True)
class Outcome:
    """`late`: seconds from the controller's end to the last pod's end. `uncounted`: dollars that pods have cost beyond
    what the ledger says; `above`: beyond a lineage's ceiling."""

    trouble: str
    lineages: int
    code: int
    pods: int
    late: float
    left: int
    wrong: bool
    uncounted: float
    above: float

    @property
    def failed(self) -> bool:
        # A cent is a second of a machine, an hour or a kill of it cannot be less exact.
        return bool(self.left or self.wrong or self.uncounted > 0.01 or self.above > 0)


def soak(directory: Path, runs: int, seed: int, most: int = 1) -> list[Outcome]:
    """Every trouble in turn, at moments that `seed` decides; they raise 1 to `most` lineages in turn."""
    found = []
    for number in range(runs):
        dice = random.Random(f"{seed}/{number}")
        names = sorted(TROUBLES)
        trouble = names[(number + seed) % len(names)]
        lineages = [f"lineage-{each}" for each in range(1 + number // len(names) % most)]
        found.append(_one_run(directory / f"run-{number}", trouble, lineages, dice))
        print(f"{number + 1}/{runs}: {found[-1]}", flush=True)
    return found


def _one_run(root: Path, trouble: str, lineages: list[str], dice: random.Random) -> Outcome:
    """Start a run, let something go wrong within its first seconds, and look what is left when it has ended."""
    (root / "project").mkdir(parents=True)
    fake = FakeRunPod(root / "pods")
    command = [sys.executable, "-m", "tests.runpod.controller", json.dumps(SETTINGS), *lineages]
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | fake.environment | {"PYTHONPATH": path}
    if trouble in STANDING:
        TROUBLES[trouble](fake, None, dice)  # type: ignore[arg-type]
    run = subprocess.Popen(
        command,
        cwd=root / "project",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    after_rent, delay = dice.random() < 0.8, dice.uniform(0, 3)

    def strike() -> None:
        while after_rent and not fake.all_pods and run.poll() is None:
            time.sleep(0.05)
        time.sleep(delay)
        if run.poll() is None:
            TROUBLES[trouble](fake, run, dice)

    if trouble in SUDDEN:
        threading.Thread(target=strike, daemon=True).start()
    output, _ = run.communicate(timeout=MOST_SECONDS)
    ended = time.time()
    left, late = _wait_for_end(fake, ended)
    results = [root / "project" / name / "result" for name in lineages]
    wrong = any(path.read_text() != RIGHT if path.exists() else run.returncode == 0 for path in results)
    cost = {pod.identifier: ((pod.ended or 0.0) - pod.created) / 3600 * pod.cost for pod in fake.all_pods}
    file = root / "project/ledger.jsonl"
    ledger = Ledger(file) if file.exists() else None
    now = time.time()
    counted = sum(ledger.spent(account(name), now) for name in lineages) if ledger else 0.0
    # Of what was asked for and never answered the next run counts what it finds.
    unknown = 0.01 * len(ledger.asked) if ledger else 0.0
    fake.close()
    above = -DOLLARS
    rows = ledger.rows if ledger else {}
    for name in lineages:
        its = [pod for pod, row in rows.items() if account(name) in row.accounts]
        above = max(above, sum(cost[pod] for pod in its) - DOLLARS)
    outcome = Outcome(
        trouble,
        len(lineages),
        run.returncode,
        len(fake.all_pods),
        late,
        left,
        wrong,
        sum(cost.values()) - counted - unknown,
        above,
    )
    if outcome.failed:
        print(output)
    return outcome


def _wait_for_end(fake: FakeRunPod, ended: float) -> tuple[int, float]:
    """Pods that are still there when the last of them should have gone, and how long the others were."""
    pods: list[FakePod] = fake.all_pods
    while time.time() < ended + LEASE_SECONDS + GRACE_SECONDS and any(pod.ended is None for pod in pods):
        time.sleep(0.05)
    left = [pod for pod in pods if pod.ended is None]
    for pod in left:
        fake.lose(pod)
    return len(left), max((pod.ended - ended for pod in pods if pod.ended is not None), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.runpod.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcomes = soak(Path(directory), arguments.runs, arguments.seed, most=2)
    print(f"troubles: {dict(Counter(each.trouble for each in outcomes))}")
    print(f"ended well: {sum(each.code == 0 for each in outcomes)} of {len(outcomes)} runs")
    print(f"pods rented: {sum(each.pods for each in outcomes)}, left: {sum(each.left for each in outcomes)}")
    print(f"wrong results: {sum(each.wrong for each in outcomes)}")
    above, uncounted = (max(getattr(each, name) for each in outcomes) for name in ("above", "uncounted"))
    print(f"dollars above a ceiling: {max(above, 0):.2f}, not counted: {max(uncounted, 0):.3f} at most")
    print(f"last pod ended after its controller: {max(each.late for each in outcomes):.1f} s at most")
    print(f"(lease: {LEASE_SECONDS:g} s)")
    sys.exit(any(each.failed for each in outcomes))


if __name__ == "__main__":
    main()
