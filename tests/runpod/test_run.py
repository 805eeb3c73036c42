"""What a run does when nothing goes wrong, and when it is stopped."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snakemake_executor_plugin_runpod.ledger import Ledger
from snakemake_executor_plugin_runpod.settings import ExecutorSettings

from tests.runpod.container import descendants
from tests.runpod.fake import FakeRunPod
from tests.runpod.project import Small, wait_until

H100 = "NVIDIA H100 80GB HBM3"
# A campaign's trainings: each goes on until the test says that it is enough.
MEMBERS = """
rule all:
    input: "a", "b", "c"

rule train:
    output: "{member,[abc]}"
    params:
        apart=lambda wildcards: wildcards.member,
        account=lambda wildcards: f"plan of {wildcards.member}",
        max_dollars=lambda wildcards: 1 + "abc".index(wildcards.member),
    shell: "while [ ! -e enough ]; do sleep 0.1; done; echo {wildcards.member} > {output}"
"""


def test_jobs_go_out_and_come_back(runpod: FakeRunPod, small: Small) -> None:
    output = small.run(*small.quick, "--runpod-setup", "echo made > setup.txt")
    assert (small.root / "out/first.txt").read_text() == "input\n3\n"
    assert (small.root / "out/second.txt").read_text() == "input\n3\nfolder\n"
    assert (small.root / "out/beside.txt").read_text() == "input\n"
    assert (small.root / "logs/first.log").read_text() == "starts at 0\nstep 1\nstep 2\nstep 3\n"
    assert (small.root / "logs/first.tsv").exists()
    assert not (small.root / "out/checkpoint").exists()
    assert not (small.root / "setup.txt").exists()
    (pod,) = runpod.all_pods
    assert (pod.container.directory / "workspace/small/setup.txt").read_text() == "made\n"
    assert pod.body["gpu"]["id"] == "NVIDIA GeForce RTX 4090", "not the cheapest with 24 GB"
    assert "of $5.00 spent so far" in output
    assert not runpod.running()
    assert "Nothing to be done" in small.run(*small.quick)
    assert len(runpod.all_pods) == 1


def test_the_log_grows_here_while_the_job_runs_there(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=30, seconds=0.2)
    run = small.start(*small.one)
    seen = wait_until(lambda: "step 2" in small.log and small.log)
    assert "step 30" not in seen
    run.communicate(timeout=600)
    assert run.returncode == 0
    assert small.log.count("step 2\n") == 1


def test_the_key_stays_here(runpod: FakeRunPod, small: Small) -> None:
    kind = ("--runpod-cloud", "COMMUNITY", "--runpod-gpus", f"NVIDIA A100 80GB PCIe, {H100}")
    output = small.run(*small.one, "--verbose", *kind)
    (pod,) = runpod.all_pods
    assert (pod.body["cloud"], pod.body["gpu"]["id"]) == ("COMMUNITY", "NVIDIA A100 80GB PCIe")
    assert runpod.key not in output
    assert runpod.key not in str(pod.body)
    assert runpod.key not in "\n".join(pod.container.lines)
    for place in (small.root, pod.container.directory):
        for path in place.rglob("*"):
            assert not path.is_file() or runpod.key.encode() not in path.read_bytes(), path


def test_a_job_gets_the_gpus_and_the_secrets_that_its_rule_names_and_no_other_does(
    runpod: FakeRunPod, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hf_secret")
    monkeypatch.setenv("HUB_PLACE", "somewhere")
    says = 'shell: "echo ${{HUB_TOKEN:-none}} ${{HUB_PLACE:-none}} > {output}"\n'
    named = f'params: secrets="HUB_TOKEN", gpus="{H100}", gpu_count=1'
    (small.root / "Snakefile").write_text(
        f'rule all:\n  input: "one", "two"\nrule one:\n  output: "one"\n  {named}\n  {says}'
        f'rule two:\n  output: "two"\n  {says}'
    )
    setup = "echo ${HUB_TOKEN:-none} ${HUB_PLACE:-none} > setup"
    small.run(*small.quick, "--envvars", "HUB_TOKEN", "HUB_PLACE", "--runpod-setup", setup)
    assert (small.root / "one").read_text() == "hf_secret somewhere\n"
    assert (small.root / "two").read_text() == "none somewhere\n"
    assert {pod.body["gpu"]["id"] for pod in runpod.all_pods} == {H100, "NVIDIA GeForce RTX 4090"}, (
        "not what was planned"
    )
    for pod in runpod.all_pods:
        assert (pod.container.directory / "workspace/small/setup").read_text() == "none somewhere\n"


def test_a_job_gets_the_keys_of_what_it_goes_on_from_and_what_comes_back_is_looked_at(
    runpod: FakeRunPod, small: Small
) -> None:
    job = small.root / "job.sh"
    job.write_text('echo "has $RUNPOD_RESUME_KEYS"\n' + job.read_text())
    small.slow_down(steps=10, seconds=0.3)
    (small.root / "placed.sh").write_text('[ ! -e "$1/step" ] || cat "$1/step" >> placed.txt\n')
    settings = ("--runpod-resume-keys", "echo the keys of", "--runpod-resume-placed", "bash placed.sh")
    small.run(*small.one, *settings)
    assert small.log.startswith("has the keys of out/checkpoint\nstarts at 0\n")
    assert (small.root / "placed.txt").read_text()
    (small.root / "out/first.txt").unlink()
    refused = ("--runpod-resume-placed", "bash -c 'echo it is another journal >&2; exit 1' --")
    assert "it is another journal" in small.run(*small.one, *refused, fails=True)
    assert not runpod.running()


def test_members_of_a_campaign_have_a_pod_each_within_its_own_plan(runpod: FakeRunPod, small: Small) -> None:
    """Three trainings on two pods at once: both are up before either may end, and the third waits for its turn."""
    (small.root / "Snakefile").write_text(MEMBERS)
    run = small.start(*small.quick, "--jobs", "3", "--runpod-pods", "2")
    places = wait_until(lambda: len(found := at_work(runpod)) == 2 and found)
    most = len(places)
    while run.poll() is None:
        for place in {*places, *at_work(runpod)}:
            (place / "enough").touch()
        most = max(most, len(runpod.running()))
        time.sleep(0.05)
    output, _ = run.communicate()
    assert run.returncode == 0, output
    assert [(small.root / name).read_text() for name in "abc"] == ["a\n", "b\n", "c\n"]
    assert most == 2 and len(runpod.all_pods) == 3
    assert not runpod.running()
    ledger = Ledger(small.root / ExecutorSettings().ledger)
    for pod in runpod.all_pods:
        (account,) = ledger.rows[pod.identifier].accounts
        ceiling = 1 + "abc".index(account[-1])
        hours = int(pod.body["env"]["RUN_SECONDS"]) / 3600
        assert hours * pod.cost == pytest.approx(ceiling, rel=0.01), "not as long as its own plan allows"
        assert pod.ended
        assert (pod.ended - pod.created) / 3600 * pod.cost <= ledger.spent(account, time.time()) < ceiling
    assert len({row.accounts for row in ledger.rows.values()}) == 3


def at_work(runpod: FakeRunPod) -> list[Path]:
    """Where jobs' files lie on the pods that have got any."""
    places = (pod.container.directory / "workspace/small" for pod in runpod.running())
    return [place for place in places if (place / "Snakefile").exists()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_pod(runpod: FakeRunPod, small: Small, number: int) -> None:
    small.slow_down(steps=200, seconds=0.3)
    run = small.start(*small.one)
    wait_until(lambda: small.step > 0)
    run.send_signal(number)
    output, _ = run.communicate(timeout=600)
    assert run.returncode != 0
    assert "ended pod" in output
    assert not runpod.running()
    assert small.step > 0, "what had come back is gone"


def test_a_pod_whose_controller_was_killed_ends_itself(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=200, seconds=0.3)
    run = small.start(*small.one, "--runpod-lease-minutes", "0.5")
    wait_until(lambda: "step 1" in small.log)
    small.crash(run)
    (pod,) = runpod.running()
    killed = time.time()
    wait_until(lambda: not runpod.running())
    assert pod.ended is not None
    assert pod.ended - killed > 3


def test_a_pod_ends_itself_at_its_deadline(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=500, seconds=0.3)
    run = small.start(*small.one, "--runpod-hours", str(15 / 3600), "--runpod-resume-seconds", "1000")
    wait_until(lambda: runpod.running())
    for process in (run.pid, *descendants(run.pid)):
        os.kill(process, signal.SIGSTOP)
    (pod,) = runpod.running()
    # Nothing else would end it before its lease, of 20 minutes.
    wait_until(lambda: not runpod.running())
    assert pod.ended is not None
    small.crash(run)


def test_a_watchdog_ends_the_pod_of_a_controller_that_was_killed(runpod: FakeRunPod, small: Small) -> None:
    """Long before the pod would do that itself; and nothing of it is left."""
    small.slow_down(steps=200, seconds=0.3)
    run = small.start(*small.one)
    wait_until(lambda: runpod.running())
    (watchdog,) = [each for each in descendants(run.pid) if b"watchdog" in Path(f"/proc/{each}/cmdline").read_bytes()]
    run.kill()
    run.wait()
    wait_until(lambda: not runpod.running())
    wait_until(lambda: not Path(f"/proc/{watchdog}").exists())


def test_the_next_run_ends_what_a_killed_one_left(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=20, seconds=0.3)
    run = small.start(*small.one)
    wait_until(lambda: small.step > 2)
    small.crash(run)
    (left,) = runpod.running()
    output = small.run(*small.one, "--nolock", "--rerun-incomplete")
    assert f"ended pod {left.identifier}, which an earlier run of this directory had left" in output
    assert not runpod.running()
    begun = re.search(r"starts at (\d+)", small.log)
    assert begun and int(begun[1]) >= 2, "it did not go on from the checkpoint"


def test_pods_are_listed_and_ended(runpod: FakeRunPod, small: Small) -> None:
    lamarck = Path(sys.executable).parent / "lamarck"

    def pods(*arguments: str) -> str:
        done = subprocess.run([lamarck, "pods", *arguments], cwd=small.root, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "No pod of this project" in pods()
    small.slow_down(steps=200, seconds=0.3)
    runs = [small.start(*small.one)]
    wait_until(lambda: runpod.running())
    small.crash(runs[0])
    (left,) = runpod.running()
    assert left.identifier in pods()
    assert f'"id": "{left.identifier}"' in pods("--json")
    assert "say which pod" in pods("end")
    assert "is not a pod of this project" in pods("end", "another")
    assert "No pod of this project" in pods("--name", "another")
    assert f"ended {left.identifier}" in pods("end", left.identifier)
    assert not runpod.running()
    assert "No pod of this project" in pods("end", "--all")
