"""A lineage whose children are differences to the founder's weights, trained by APOLLO."""

import subprocess
from pathlib import Path

import yaml

from tests.pipeline.conftest import Project

APOLLO = {"kind": "apollo", "rank": 32, "renew_every": 10}


def test_deltas_by_apollo_pass_both_gates_and_come_back_by_dvc_pull(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    config = yaml.safe_load((project.root / "config/default.yaml").read_text())
    whole = {"form": "delta", "optimizer": APOLLO, "learning_rate": 1e-3}
    project.config(recipe=config["recipe"] | whole, control=False)
    project.snakemake()
    # What was approved of an adapter would allow nothing here: the gate asks about this form.
    assert "all weights, kept as delta" in project.run("lamarck", "review", "g1").stdout
    for generation in ("g1", "g2"):
        project.approve(generation)
        project.snakemake()
    for generation in ("g1", "g2"):
        plan, training = (project.read(f"results/{generation}/{name}") for name in ("plan.json", "delta/training.json"))
        assert training["optimizer_bytes"] == plan["cost"]["optimizer"]["state_bytes"] > 0
        assert training["steps"] == 30
        assert not (project.root / f"results/{generation}/adapter").exists()
    scores = [project.read(f"results/g{number}/eval.json")["score"] for number in range(3)]
    assert len(set(scores)) == 3  # each was another model
    assert project.read("results/lineage.json")["main"][0]["reward"] == scores[2]
    assert "Nothing to be done" in project.snakemake("--dry-run")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "two generations")

    remote = tmp_path / "remote"
    project.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    project.run("dvc", "push", "--quiet")
    clone = Project(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", str(project.root), str(clone.root)], check=True)
    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    clone.run("dvc", "pull", "--quiet")
    delta = clone.root / "results/g2/delta/delta.safetensors"
    assert delta.read_bytes() == (project.root / "results/g2/delta/delta.safetensors").read_bytes()
    assert "Nothing to be done" in clone.snakemake("--dry-run")
    assert "artifacts match their records" in clone.run("lamarck", "verify").stdout

    delta.chmod(0o644)
    delta.write_bytes(delta.read_bytes() + b"x")
    done = clone.run("lamarck", "verify", check=False)
    assert done.returncode == 1 and "results/g2/delta does not hold" in done.stdout
