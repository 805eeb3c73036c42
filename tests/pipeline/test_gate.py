"""The rules and the gate: nothing is trained that a human has not approved."""

import fcntl
import shutil
from pathlib import Path

from tests.pipeline.conftest import Project


def test_bare_snakemake_stops_at_the_gate(at_gate: Project) -> None:
    output = at_gate.snakemake()
    assert "g1 waits for a human" in output
    assert "lamarck approve g1" in output
    assert not (at_gate.root / "results/g1/adapter").exists()
    assert (at_gate.root / "results/g0/eval.json").exists()


def test_asking_for_the_adapter_does_not_open_the_gate(at_gate: Project) -> None:
    done = at_gate.run("snakemake", "results/g1/adapter", check=False)
    assert done.returncode != 0
    assert "g1 waits for a human" in done.stdout
    assert not (at_gate.root / "results/g1/adapter").exists()


def test_calling_the_trainer_does_not_open_the_gate(at_gate: Project) -> None:
    done = at_gate.run(
        *("python", "-m", "lamarck.train", "--config", "config/default.yaml", "--generation", "g1"),
        *("--plan", "results/g1/plan.json", "--approval", "approvals/g1.ok", "--weights", "results/g0/weights"),
        *("--curriculum", "results/g1/curriculum.jsonl", "--checkpoint", "results/g1/checkpoint"),
        *("--output", "results/g1/adapter"),
        check=False,
    )
    assert done.returncode == 1
    assert "error: g1 is not approved" in done.stdout


def test_an_empty_approval_is_refused_and_shown(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    (project.root / "approvals/g1.ok").touch()
    done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "approvals/g1.ok is empty" in done.stdout
    assert "REFUSED" in project.run("lamarck", "status").stdout
    assert not (project.root / "results/g1/adapter").exists()


def test_a_curriculum_edited_after_the_approval_closes_the_gate(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    project.approve("g1")
    curriculum = project.root / "results/g1/curriculum.jsonl"
    lines = curriculum.read_text().splitlines(keepends=True)
    curriculum.write_text("".join(lines[1:]))
    done = project.run(
        *("python", "-m", "lamarck.train", "--config", "config/default.yaml", "--generation", "g1"),
        *("--plan", "results/g1/plan.json", "--approval", "approvals/g1.ok", "--weights", "results/g0/weights"),
        *("--curriculum", "results/g1/curriculum.jsonl", "--checkpoint", "results/g1/checkpoint"),
        *("--output", "results/g1/adapter"),
        check=False,
    )
    assert done.returncode == 1
    assert "the curriculum of g1 changed after the approval" in done.stdout


def test_a_generation_without_its_parent_is_refused(blank: Project, tmp_path: Path) -> None:
    project = blank.copy(tmp_path / "project")
    done = project.run("snakemake", "--dry-run", "results/g2/adapter", check=False)
    assert done.returncode != 0
    assert "g2 waits for a human" in done.stdout
    assert not (project.root / "results/g2").exists()
    refused = project.run("lamarck", "approve", "g2", "--by", "A Tester", "--digest", "00000000", check=False)
    assert refused.returncode == 1
    assert "results/g2/plan.json does not exist" in refused.stdout


def test_two_runs_at_once(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    lock = project.root / ".lamarck/run.lock"
    with lock.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "another run is already advancing" in done.stdout
    project.snakemake()


def test_a_misspelt_key_stops_everything(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    project.config(genrations=3)
    done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "did you mean 'generations'" in done.stdout


def test_a_budget_above_the_parents_is_refused_at_planning(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.config(budget={"device_seconds": 120, "overrides": {2: 500}})
    done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "more than the 120 of its parent" in done.stdout


def test_a_local_model_directory_can_be_the_founder(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    shutil.move(project.root / "results/g0/weights", project.root / "my-model")
    (project.root / "my-model/source.json").unlink()
    shutil.rmtree(project.root / "results/g1")
    project.config(founder={"kind": "local", "path": "my-model"}, control=False)
    assert "g1 waits for a human" in project.snakemake()
    assert project.read("results/g1/plan.json")["control"] is None
    missing = {"kind": "local", "path": "no-such-model"}
    project.config(founder=missing)
    assert "no-such-model does not exist" in project.snakemake(check=False)
