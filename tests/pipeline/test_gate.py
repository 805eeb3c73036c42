"""The rules and the gate: nothing is trained that a human has not approved."""

import fcntl
import json
import shutil
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from lamarck.files import digest_file
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
        *("--control-curriculum", "results/control/g1/curriculum.jsonl"),
        *("--metrics", "logs/tensorboard/g1"),
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
    # Without the longest items: the plan names the longest, too.
    words = [len(f"{item['prompt']} {item['completion']}".split()) for item in map(json.loads, lines)]
    curriculum.write_text("".join(line for line, count in zip(lines, words, strict=True) if count < max(words)))
    done = project.run(
        *("python", "-m", "lamarck.train", "--config", "config/default.yaml", "--generation", "g1"),
        *("--plan", "results/g1/plan.json", "--approval", "approvals/g1.ok", "--weights", "results/g0/weights"),
        *("--curriculum", "results/g1/curriculum.jsonl", "--checkpoint", "results/g1/checkpoint"),
        *("--control-curriculum", "results/control/g1/curriculum.jsonl"),
        *("--metrics", "logs/tensorboard/g1"),
        *("--output", "results/g1/adapter"),
        check=False,
    )
    assert done.returncode == 1
    assert "the curriculum and the cost of g1 are not what its files say now" in done.stdout


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
    budget = yaml.safe_load((project.root / "config/default.yaml").read_text())["budget"]
    project.config(budget=budget | {"overrides": {2: 5000}})
    done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "more than the 3600 of its parent" in done.stdout


def test_a_training_that_its_ceiling_ended_is_a_red_flag(at_gate: Project, tmp_path: Path) -> None:
    """How far it came is the machine's doing: whoever reads its score has to know."""
    project = at_gate.copy(tmp_path / "project")
    project.config(generations=1, control=False, budget={"device_seconds": 0.001})
    project.snakemake()
    project.approve("g1")
    project.snakemake()
    steps = project.read("results/g1/adapter/training.json")["steps"]
    assert 0 < steps < 30
    sentence = f"g1 was trained for {steps} of its 30 steps, then its ceiling of 0.001 device-seconds ended that"
    assert project.read("results/lineage.json")["main"][1]["cut_short"] == sentence
    for command in (("status",), ("compare", "g1", "g0"), ("report", "--md")):
        assert sentence in " ".join(project.run("lamarck", *command).stdout.replace("\\", "").split()), command


def test_a_local_model_directory_can_be_the_founder(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    shutil.move(project.root / "results/g0/weights", project.root / "my-model")
    (project.root / "my-model/source.json").unlink()
    shutil.rmtree(project.root / "results/g1")
    project.config(founder={"kind": "local", "path": "my-model"}, control=False)
    assert "g1 waits for a human" in project.snakemake()
    assert project.read("results/g1/plan.json")["control"] is None
    assert project.read("results/g0/check.json")["model_type"] == "llama"
    # A check that is made again, as that of an older lineage is, has nothing written again.
    (project.root / "results/g0/check.json").unlink()
    written = (project.root / "results/g1/curriculum.json").read_bytes()
    project.snakemake()
    assert (project.root / "results/g0/check.json").exists()
    assert (project.root / "results/g1/curriculum.json").read_bytes() == written
    missing = {"kind": "local", "path": "no-such-model"}
    project.config(founder=missing)
    assert "no-such-model does not exist" in project.snakemake(check=False)


def test_a_primer_waits_for_a_human_and_becomes_part_of_the_founder(at_gate: Project, tmp_path: Path) -> None:
    """The wrong implementations: a warm-up that no plan names; one that is trained again when a later run begins."""
    project = at_gate.copy(tmp_path / "project")
    shutil.move(project.root / "results/g0/weights", project.root / "my-model")
    shutil.rmtree(project.root / "results")
    recipe = yaml.safe_load((project.root / "config/default.yaml").read_text())["recipe"]
    primer = {
        "description": "for tests",
        "skills": {"json_mode": {"share": 1, "difficulties": [1, 2]}},
        "size": 40,
        "recipe": recipe | {"steps": 8, "checkpoint_every": 4},
        "device_seconds": 3600,
    }
    (project.root / "primer.yaml").write_text(yaml.safe_dump(primer))
    project.config(founder={"kind": "local", "path": "my-model", "primer": "primer.yaml"}, control=False)
    assert "g0 waits for a human" in project.snakemake()
    assert not (project.root / "results/g0/weights").exists() and not (project.root / "results/g1").exists()
    assert "results/g0/plan.json is not approved" in project.run("lamarck", "status").stdout
    assert "40 problems kept" in " ".join(project.run("lamarck", "review", "g0").stdout.split())
    assert "g0 waits for a human" in project.snakemake("results/g0/weights", check=False)

    project.approve("g0")
    assert "g1 waits for a human" in project.snakemake()
    source = project.read("results/g0/weights/source.json")
    assert (source["kind"], source["from"]["kind"], source["primer"]["steps"]) == ("primed", "local", 8)
    assert source["record"]["inputs"]["plan"] == digest_file(project.root / "results/g0/plan.json")
    before = load_file(project.root / "my-model/model.safetensors")
    after = load_file(project.root / "results/g0/weights/model.safetensors")
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any("q_proj" in name for name in moved) and not any("norm" in name for name in moved)
    journal = project.root / "approvals/spent/g0"
    assert list(journal.glob("*.jsonl")), "what it spent is written down"
    project.snakemake()
    assert project.read("results/g0/weights/source.json") == source

    # Another primer is another plan, which the old answer does not open.
    (project.root / "primer.yaml").write_text(yaml.safe_dump(primer | {"size": 44}))
    assert "approves another plan" in project.snakemake(check=False)


def test_a_human_edit_is_kept_and_closes_the_gate_until_it_is_approved(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    project.approve("g1")
    editor = project.root / "editor.py"
    editor.write_text(
        "import sys\nlines = open(sys.argv[1]).readlines()\nopen(sys.argv[1], 'w').writelines(lines[5:])\n"
    )
    edited = project.run("env", f"EDITOR=python {editor}", "lamarck", "review", "g1", "--edit", "--by", "A Tester")
    assert "dropped: 5, changed: 0" in edited.stdout
    kept = (project.root / "results/g1/curriculum.jsonl").read_bytes()
    done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "approvals/g1.ok approves another plan" in done.stdout
    # The plan and the control arm follow the edit; the edit itself is not made again.
    assert (project.root / "results/g1/curriculum.jsonl").read_bytes() == kept
    items = project.read("results/g1/curriculum.json")["items"]
    plan = project.read("results/g1/plan.json")
    assert plan["curriculum"]["items"] == plan["control"]["curriculum"]["items"] == items
    assert project.read("results/g1/curriculum.json")["record"]["human_edited"]["dropped"] == 5
    assert "5 problems dropped" in (project.root / "results/g1/curriculum.md").read_text()
    assert "Human-edited by A Tester: 5 problems dropped, 0 changed" in project.run("lamarck", "review", "g1").stdout
    assert "artifacts match their records" in project.run("lamarck", "verify").stdout
    project.approve("g1")
    status = json.loads(project.run("lamarck", "status", "--json").stdout)
    g1 = next(each for each in status["generations"] if each["generation"] == "g1")
    assert (g1["artifacts"]["curriculum.jsonl"], g1["artifacts"]["plan.json"], g1["gate"]["state"]) == (
        None,
        None,
        "open",
    )
