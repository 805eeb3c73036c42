"""What needs no pod, what a killed writer goes on from, and a pod on which nothing that a model wrote can be judged."""

from pathlib import Path

from tests.pipeline.conftest import Project
from tests.pipeline.test_runpod import HERE
from tests.runpod.fake import FakeRunPod


def test_a_curriculum_goes_on_from_what_its_parent_wrote(at_gate: Project, tmp_path: Path) -> None:
    """Killed when all was written, and before it was put down: nothing is asked again, and the bytes are the same."""
    project = at_gate.copy(tmp_path / "project")

    def write(card: str, check: bool) -> str:
        return project.run(
            *("python", "-m", "lamarck.curriculum", "--config", "config/default.yaml", "--generation", "g1"),
            *("--weights", "results/g0/weights", "--answers", "results/g1/curriculum.answers.jsonl"),
            *("--output", "results/g1/again.jsonl", "--card", card),
            check=check,
        ).stdout

    write("/dev/null/card.json", check=False)
    assert (project.root / "results/g1/curriculum.answers.jsonl").exists()
    write("results/g1/again.json", check=True)
    assert project.read("results/g1/again.json")["record"]["resumed"] == 1
    assert (project.root / "results/g1/again.jsonl").read_bytes() == (
        project.root / "results/g1/curriculum.jsonl"
    ).read_bytes()
    assert not (project.root / "results/g1/curriculum.answers.jsonl").exists()


def test_where_a_pod_forbids_the_sandbox_judging_is_done_here(
    at_gate: Project, runpod: FakeRunPod, tmp_path: Path
) -> None:
    """Chosen by itself: a curriculum is written and a founder scored with the same bytes as here."""
    project = at_gate.copy(tmp_path / "project")
    made = ("results/g1/curriculum.jsonl", "results/g0/samples.jsonl")
    local = {name: (project.root / name).read_bytes() for name in made}
    scores = project.read("results/g0/eval.json")
    for name in (*made, "results/g0/eval.json"):
        (project.root / name).unlink()
    runpod.sandboxes = False
    output = project.snakemake(*HERE, "results/g1/curriculum.jsonl", "results/g0/eval.json")
    assert "jobs that can run here do, with the pod's GPUs: --runpod-whole failed on pod" in output
    assert {name: (project.root / name).read_bytes() for name in made} == local
    assert project.read("results/g0/eval.json") == scores
    (pod,) = runpod.all_pods
    assert not list((pod.container.directory / "workspace").rglob("samples.jsonl")), "it was judged there"
    assert not runpod.running()


def test_a_student_that_is_only_copied_rents_nothing(blank: Project, runpod: FakeRunPod, tmp_path: Path) -> None:
    project = blank.copy(tmp_path / "project")
    project.config(suite="config/suites/tiny-v3")
    project.snakemake(*HERE, "results/g0/student")
    assert project.read("results/g0/student/source.json")["files"]
    assert not runpod.all_pods
