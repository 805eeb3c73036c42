"""Pods that cannot be had, do not start, go silent, or are gone in the middle of a job."""

import shlex
import subprocess
import threading
import time
from pathlib import Path

import pytest
from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.job import JobFailed

from tests.runpod.fake import FakeRunPod, Fault
from tests.runpod.project import wait_until
from tests.runpod.sessions import Opened, opened

# Counts from where its checkpoint says, up to 30, in steps of a fifth of a second.
COUNT = """
mkdir -p checkpoint
step=$(cat checkpoint/step 2> /dev/null || echo 0)
echo "starts at $step" > job.log
while [ $step -lt 30 ]; do
  sleep 0.2
  step=$((step + 1))
  echo $step > checkpoint/step.new && mv checkpoint/step.new checkpoint/step
done
rm -r checkpoint
echo $step > result
"""


@pytest.fixture(autouse=True)
def here(runpod: FakeRunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def count(it: Opened) -> None:
    it.run(COUNT, outputs=("result",), resume=("checkpoint",), log="job.log")


def step() -> int:
    path = Path("checkpoint/step")
    return int(path.read_text()) if path.exists() else 0


def pod_of(runpod: FakeRunPod) -> Path:
    """Where the one pod's files lie."""
    (pod,) = runpod.all_pods
    return pod.container.directory / "workspace"


def at_step(number: int, runpod: FakeRunPod, strike: str) -> threading.Thread:
    """Once the checkpoint that came back is so far, the pod is lost, or falls silent."""

    def wait_and_strike() -> None:
        wait_until(lambda: step() >= number)
        (pod,) = runpod.running()
        runpod.lose(pod) if strike == "lose" else pod.container.freeze()

    thread = threading.Thread(target=wait_and_strike, daemon=True)
    thread.start()
    return thread


def test_no_gpu_is_free(runpod: FakeRunPod) -> None:
    runpod.free.clear()
    with opened() as it:
        with pytest.raises(RunPodError, match=r"no GPU was free within 0\.05 minutes"):
            it.run("true")
        assert "no GPU is free: trying again in 2 s" in it.said
    assert not runpod.all_pods


def test_a_gpu_becomes_free(runpod: FakeRunPod) -> None:
    runpod.free.clear()
    with opened(wait_minutes=1.0) as it:
        threading.Timer(0.5, runpod.free.add, ["NVIDIA H100 80GB HBM3"]).start()
        it.run("true")
    assert [pod.body["gpu"]["id"] for pod in runpod.all_pods] == ["NVIDIA H100 80GB HBM3"]


def test_every_kind_of_error_in_one_run(runpod: FakeRunPod) -> None:
    runpod.price_factor = 1.5
    runpod.faults += [Fault(method, "/v2/.*", 500) for method in ("GET", "POST", "DELETE")]
    runpod.faults += [Fault(method, "/v2/.*", 429) for method in ("GET", "POST", "DELETE")]
    runpod.faults += [Fault("POST", "/v2/pods", 400), Fault("POST", "/v2/pods", 502, done=True)]
    with opened(max_dollars_per_hour=3.0) as it:
        it.run("true")
    assert [pod.body["gpu"]["id"] for pod in runpod.all_pods] == ["NVIDIA A100 80GB PCIe"]
    assert not runpod.running()


def test_a_pod_that_does_not_start_is_ended(runpod: FakeRunPod) -> None:
    runpod.slow = 1000
    with opened(start_minutes=0.02, wait_minutes=0.02) as it, pytest.raises(RunPodError, match="was not up after"):
        it.run("true")
    assert len(runpod.all_pods) == 3, "each kind that fits and can be paid for is tried once"
    assert not runpod.running()


def test_a_pod_dearer_than_listed_is_not_kept(runpod: FakeRunPod) -> None:
    runpod.price_factor = 20.0
    with (
        opened(wait_minutes=0.01) as it,
        pytest.raises(RunPodError, match=r"it costs \$53.80/h, not the \$2.69 of the"),
    ):
        it.run("true")
    assert not runpod.running()


@pytest.mark.parametrize(("strike", "sentence"), [("lose", "it is gone"), ("freeze", "ssh does not answer")])
def test_a_pod_lost_in_mid_job_is_replaced(runpod: FakeRunPod, strike: str, sentence: str) -> None:
    with opened() as it:
        at_step(5, runpod, strike)
        count(it)
        assert any(f"({sentence}" in line and "lost pod" in line for line in it.said), it.said
    assert int(Path("job.log").read_text().split()[-1]) >= 5, "it began anew"
    assert Path("result").read_text() == "30\n"
    assert len(runpod.all_pods) == 2
    assert not runpod.running()


def test_too_many_pods_are_lost(runpod: FakeRunPod) -> None:
    with opened(replacements=0) as it:
        at_step(2, runpod, "lose")
        with pytest.raises(RunPodError, match="1 pods were lost in this run"):
            count(it)
    assert step() >= 2
    assert not runpod.running()


def test_a_pod_on_which_a_job_failed_is_kept_for_a_look(runpod: FakeRunPod) -> None:
    with opened(keep_minutes=0.05) as it:
        with pytest.raises(JobFailed):
            it.run("echo trace > why; exit 1")
        (line,) = [line for line in it.said if "is kept for" in line]
        assert len(runpod.running()) == 1
        login = shlex.split(line.partition("Ctrl-C ends it: ")[2])
        look = subprocess.run(
            [*login[:-1], f"{login[-1].replace('exec bash', 'cat why')}"], capture_output=True, text=True
        )
        assert look.stdout.strip() == "trace", look.stderr
    assert not runpod.running()


def test_a_wrong_host_key(runpod: FakeRunPod) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], check=True)
    runpod.host_key_said = " ".join(Path("key.pub").read_text().split()[:2])
    with opened() as it, pytest.raises(RunPodError, match="shows another ssh host key than its log says"):
        it.run("true", inputs=("key.pub",))
    (pod,) = runpod.all_pods
    assert not list((pod.container.directory / "workspace").iterdir()), "something was sent"
    assert not runpod.running()


def test_an_artifact_that_changes_after_the_job_is_not_taken(runpod: FakeRunPod) -> None:
    """What the job left behind holds its digests back, in a pipe, until it has changed what it made."""
    Path("half").write_text("before")
    job = "job=$(echo /tmp/jobs/job-*); mkfifo $job/digests"
    change = 'digests=$(cat $job/digests); echo other > half; echo "$digests" > $job/digests'
    with opened() as it, pytest.raises(JobFailed, match="half arrived 3 times with other bytes than on pod"):
        it.run(f"echo whole > half; {job}; ({change}) > /dev/null 2>&1 &", outputs=("half",))
    assert Path("half").read_text() == "before"
    assert not runpod.running()


def test_the_last_checkpoint_is_fetched_when_there_is_still_time(runpod: FakeRunPod) -> None:
    """Not at the last moment: of a pod that has a minute left, where nobody knows how long it takes, at once."""
    with opened(resume_seconds=3600) as it:
        it.run("true")
        pod = it.session.pods.of(it.need).get()

        def end_it() -> None:
            checkpoint = wait_until(lambda: [*pod_of(runpod).rglob("checkpoint/step")])
            wait_until(lambda: checkpoint[0].exists() and int(checkpoint[0].read_text() or 0) >= 3)
            pod.deadline = time.time() + 60

        thread = threading.Thread(target=end_it, daemon=True)
        thread.start()
        with pytest.raises(RunPodError, match="the pod's time is over"):
            it.run(COUNT.replace("-lt 30 ", "-lt 30000 "), resume=("checkpoint",))
        assert time.time() < pod.deadline
        assert step() >= 3
    assert not runpod.running()
