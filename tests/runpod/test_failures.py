"""Bad input and bad luck: one sentence, nothing lost, and no pod left."""

import re
import shutil
import subprocess

import pytest

from tests.runpod.fake import FakeRunPod
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


def test_a_job_that_fails_says_why(runpod: FakeRunPod, small: Small) -> None:
    (small.root / "Snakefile").write_text('rule:\n  output: "x"\n  shell: "echo because of this >&2; exit 7"\n')
    output = small.run(*small.quick, fails=True)
    assert "because of this" in output
    assert not runpod.running()


def test_a_setup_that_fails_says_why(runpod: FakeRunPod, small: Small) -> None:
    output = small.run(*small.one, "--runpod-setup", "echo no such package; exit 1", fails=True)
    assert re.search(r"--runpod-setup failed on pod \w+: no such package \(all it said: .*setup\.log\)", output), output
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
