"""What ends a pod that nobody else ends: its own guard, from its first second, and the controller's watchdog."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import pytest
from snakemake_executor_plugin_runpod.api import client_from_environment
from snakemake_executor_plugin_runpod.watchdog import LATE_SECONDS

from tests.runpod.fake import KINDS, FakePod, FakeRunPod, Fault
from tests.runpod.project import wait_until

BOOT = files("snakemake_executor_plugin_runpod").joinpath("boot.sh").read_text(encoding="utf-8")


def rent(runpod: FakeRunPod, name: str = "a-b-c", **given: str) -> FakePod:
    """A pod that no controller looks after."""
    far = {"RUN_DEADLINE": str(int(time.time()) + 3600), "RUN_SECONDS": "3600", "RUN_LEASE_SECONDS": "3600"}
    environment = {"PUBLIC_KEY": "none", "BOOT": BOOT, "RUN_API_URL": runpod.url} | far | given
    body = {"name": name, "image": "an/image", "gpu": {"id": next(iter(KINDS))}, "env": environment}
    return runpod.pods[client_from_environment().create(body | {"args": "bash -c 'eval \"$BOOT\"'"}).id]


@pytest.mark.parametrize(
    "given", [{"RUN_SECONDS": "2"}, {"RUN_DEADLINE": "1"}, {"RUN_LEASE_SECONDS": "2"}], ids=lambda given: min(given)
)
def test_a_pod_whose_services_never_start_ends_itself(runpod: FakeRunPod, given: dict[str, str]) -> None:
    """Whichever comes first, also by a wrong clock. The wrong implementation: a guard that begins once sshd is up."""
    runpod.services = False
    pod = rent(runpod, **given)
    wait_until(lambda: pod.ended, seconds=60)
    assert not runpod.running()
    assert not any(line.startswith("host-key") for line in pod.container.lines)


@pytest.mark.parametrize(
    ("refused", "ways"), [(0, ["DELETE"]), (1, ["DELETE", "terminate"]), (2, ["DELETE", "terminate", "stop"])]
)
def test_a_pod_ends_itself_by_every_way_in_turn(runpod: FakeRunPod, refused: int, ways: list[str]) -> None:
    """The last one keeps its disk, and ends what costs most."""
    runpod.faults += [Fault("DELETE", "/v2/pods/.*", 405), Fault("POST", "/v2/pods/.*/action", 403)][:refused]
    pod = rent(runpod, RUN_SECONDS="1")

    def asked() -> list[str]:
        own = [each for each in runpod.exchanges if each.path.startswith(f"/v2/pods/{pod.identifier}")]
        return [each.body["action"] if each.body else each.method for each in own]

    wait_until(lambda: len(asked()) >= len(ways), seconds=60)
    assert asked() == ways and pod.ended
    assert [each.status for each in client_from_environment().pods()] == (["EXITED"] if refused == 2 else [])


@contextmanager
def watchdog() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "snakemake_executor_plugin_runpod.watchdog"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        process.kill()


def test_a_watchdog_ends_what_was_asked_for_when_its_controller_died_before_the_answer(runpod: FakeRunPod) -> None:
    """It knows a name, and no pod; another's pod is none of its business."""
    runpod.faults.append(Fault("GET", "/v2/pods", 500))
    with watchdog() as process:
        assert process.stdin is not None
        process.stdin.write("renting a-b-c\n")
        rent(runpod)
        other = rent(runpod, "another")
        process.stdin.close()
        assert process.wait(60) == 0
    assert runpod.running() == [other]


def test_a_watchdog_ends_a_pod_whose_time_is_over_though_its_controller_lives(runpod: FakeRunPod) -> None:
    """One that hangs ends nothing by itself."""
    late, other = rent(runpod), rent(runpod, "another")
    with watchdog() as process:
        assert process.stdin is not None
        process.stdin.write(f"rented {other.identifier} {time.time() + 3600}\n")
        process.stdin.write(f"rented {late.identifier} {time.time() - LATE_SECONDS - 1}\n")
        wait_until(lambda: late.ended, seconds=60)
        process.stdin.write("done\n")
        assert process.wait(60) == 0
    assert runpod.running() == [other]
