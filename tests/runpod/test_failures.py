"""Bad input and bad luck: one sentence, nothing lost, and no pod left."""

import re
import shutil
import subprocess

import pytest

from tests.runpod.fake import FakeRunPod, Fault
from tests.runpod.project import Small, wait_until


def created(runpod: FakeRunPod) -> int:
    return sum(exchange.method == "POST" for exchange in runpod.exchanges)


def test_no_key(runpod: FakeRunPod, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY")
    assert "RUNPOD_API_KEY is not set" in small.run(*small.one, fails=True)
    assert not runpod.exchanges


def test_a_ceiling_below_one_hour(runpod: FakeRunPod, small: Small) -> None:
    output = small.run("--runpod-max-dollars", "0.5", fails=True)
    assert "the ceiling of $0.50 is below one hour of the cheapest pod (1 x NVIDIA GeForce RTX 4090, $0.69)" in output
    assert created(runpod) == 0


def test_a_ceiling_that_the_workflow_sets(runpod: FakeRunPod, small: Small) -> None:
    """Nobody can raise it from the command line; what ran before it counts."""
    rule = (small.root / "Snakefile").read_text()
    (small.root / "Snakefile").write_text(rule.replace("rule second:", "rule second:\n    params: max_dollars=0.7"))
    output = small.run("out/second.txt", *small.quick, "--set-resources", "second:max_dollars=5")
    assert "of $5.00 spent so far" in output and "of $0.70 spent so far" in output
    (small.root / "Snakefile").write_text(rule.replace("rule second:", "rule second:\n    params: max_dollars=0.5"))
    (small.root / "out/second.txt").unlink()
    output = small.run(*small.quick, "out/second.txt", fails=True)
    assert "the ceiling of $0.50 is below one hour of the cheapest pod" in output
    (small.root / "Snakefile").write_text(rule.replace("rule second:", "rule second:\n    params: max_dollars=-1"))
    assert "a ceiling of -1 dollars is not a positive number" in small.run(*small.quick, "out/second.txt", fails=True)
    assert created(runpod) == 1


def test_no_gpu_is_free(runpod: FakeRunPod, small: Small) -> None:
    runpod.free.clear()
    output = small.run(*small.one, "--runpod-wait-minutes", "0.1", fails=True)
    assert "no GPU is free: trying again in 2 s" in output
    assert "no GPU was free within 0.1 minutes" in output
    assert created(runpod) == 0


def test_a_gpu_becomes_free(runpod: FakeRunPod, small: Small) -> None:
    runpod.free.clear()
    run = small.start(*small.one)
    wait_until(lambda: len(runpod.exchanges) > 2)
    runpod.free.add("NVIDIA H100 80GB HBM3")
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    assert "NVIDIA H100" in output


def test_every_kind_of_error_in_one_run(runpod: FakeRunPod, small: Small) -> None:
    runpod.price_factor = 1.5
    runpod.faults += [Fault(method, "/v2/.*", 500) for method in ("GET", "POST", "DELETE")]
    runpod.faults += [Fault(method, "/v2/.*", 429) for method in ("GET", "POST", "DELETE")]
    runpod.faults += [Fault("POST", "/v2/pods", 400), Fault("POST", "/v2/pods", 502, done=True)]
    output = small.run(*small.one, "--runpod-max-dollars-per-hour", "3")
    assert "A100" in output
    assert len(runpod.all_pods) == 1
    assert not runpod.running()


def test_a_pod_that_does_not_start_is_ended(runpod: FakeRunPod, small: Small) -> None:
    runpod.slow = 1000
    output = small.run(*small.one, "--runpod-start-minutes", "0.05", "--runpod-wait-minutes", "0.05", fails=True)
    assert "was not up after" in output
    assert len(runpod.all_pods) == 3, "each kind that fits is tried once"
    assert not runpod.running()


def test_a_pod_lost_in_mid_job_is_replaced(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=30, seconds=0.2)
    run = small.start(*small.one)
    wait_until(lambda: small.step >= 5)
    runpod.lose(runpod.running()[0])
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    assert "lost pod" in output
    begun = re.search(r"starts at (\d+)", small.log)
    assert begun and int(begun[1]) >= 5
    assert (small.root / "out/first.txt").read_text() == "input\n30\n"
    assert len(runpod.all_pods) == 2
    assert not runpod.running()


def test_too_many_pods_are_lost(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=100, seconds=0.2)
    run = small.start(*small.one, "--runpod-replacements", "0")
    wait_until(lambda: small.step >= 2)
    runpod.lose(runpod.running()[0])
    output, _ = run.communicate(timeout=600)
    assert run.returncode != 0
    assert "1 pods were lost in this run" in output
    assert small.step >= 2
    assert not runpod.running()


def test_a_silent_pod_is_given_up(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=30, seconds=0.2)
    run = small.start(*small.one, "--runpod-silent-minutes", "0.05")
    wait_until(lambda: small.step >= 3)
    runpod.running()[0].container.freeze()
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    assert "ssh does not answer" in output
    assert not runpod.running()


def test_a_wrong_host_key(runpod: FakeRunPod, small: Small) -> None:
    key = small.root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    runpod.host_key_said = " ".join((small.root.parent / "key.pub").read_text().split()[:2])
    output = small.run(*small.one, fails=True)
    assert "shows another ssh host key than its log says" in output
    (pod,) = runpod.all_pods
    assert not list((pod.container.directory / "workspace").iterdir()), "something was sent"
    assert not runpod.running()


def test_an_artifact_that_changes_after_the_job_is_not_taken(runpod: FakeRunPod, small: Small) -> None:
    """What the job left behind holds its digests back, in a pipe, until it has changed what it made."""
    (small.root / "out").mkdir()
    (small.root / "Snakefile").write_text(
        'rule half:\n  output: "out/half.txt"\n'
        '  shell: "echo whole > {output}; job=$(echo /tmp/jobs/half-*); mkfifo $job/digests;"\n'
        '    " (digests=$(cat $job/digests); echo other > {output}; echo $digests > $job/digests)"\n'
        '    " > /dev/null 2>&1 &"\n'
    )
    output = small.run(*small.quick, fails=True)
    assert "out/half.txt arrived 3 times with other bytes than on pod" in output
    assert not (small.root / "out/half.txt").exists()
    assert not runpod.running()


def test_a_job_that_fails_says_why(runpod: FakeRunPod, small: Small) -> None:
    (small.root / "Snakefile").write_text('rule:\n  output: "x"\n  shell: "echo because of this >&2; exit 7"\n')
    output = small.run(*small.quick, fails=True)
    assert "because of this" in output
    assert not runpod.running()


def test_a_setup_that_fails_says_why(runpod: FakeRunPod, small: Small) -> None:
    output = small.run(*small.one, "--runpod-setup", "echo no such package; exit 1", fails=True)
    assert "--runpod-setup failed: see .snakemake/runpod/setup.log" in output
    assert "no such package" in (small.root / ".snakemake/runpod/setup.log").read_text()
    assert not runpod.running()


def test_two_controllers_in_one_directory(runpod: FakeRunPod, small: Small) -> None:
    small.slow_down(steps=9999, seconds=0.2)
    first = small.start(*small.one)
    wait_until(lambda: small.step >= 1)
    second = small.run(*small.one, "--nolock", "--rerun-incomplete", fails=True)
    assert "another run of this directory is using RunPod already" in second
    end_well(runpod, first)


def test_two_controllers_of_one_lineage(runpod: FakeRunPod, small: Small) -> None:
    clone = Small(small.root.parent / "clone/small")
    shutil.copytree(small.root, clone.root)
    small.slow_down(steps=9999, seconds=0.2)
    first = small.start(*small.one)
    wait_until(lambda: small.step >= 1)
    (pod,) = runpod.running()
    second = clone.run(*clone.one, fails=True)
    assert f"pod {pod.identifier}" in second
    assert "works on the same already, started from another directory" in second
    end_well(runpod, first)


def end_well(runpod: FakeRunPod, run: "subprocess.Popen[str]") -> None:
    """Let the job of a run that nobody should have disturbed come to its end."""
    (pod,) = runpod.all_pods
    (pod.container.directory / "workspace/small/enough").touch()
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    assert not runpod.running()


def test_a_pod_dearer_than_listed_is_not_kept(runpod: FakeRunPod, small: Small) -> None:
    runpod.price_factor = 20.0
    output = small.run(*small.one, "--runpod-wait-minutes", "0.01", fails=True)
    assert "it costs $53.80/h, not the $2.69 of the catalogue" in output
    assert not runpod.running()
