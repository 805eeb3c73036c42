"""A lineage whose children are differences to the founder's weights, trained by APOLLO."""

import json
import subprocess
from pathlib import Path

import yaml

from lamarck.files import file_digests
from tests.pipeline.conftest import Project

# What publishing, serving and the pages read, in a process of its own: they go by the directory that they stand in.
TAKES_IT = """
import json
from pathlib import Path
from lamarck.config import load_config
from lamarck.hub.card import model_card
from lamarck.hub.check import check_content, check_lineage
from lamarck.hub.contents import make_manifest
from lamarck.lineage.generation import Generation
from lamarck.report.page.members import find_members
from lamarck.report.page.runs import find_trainings
from lamarck.serve.model import servable

config, g2 = load_config(Path("config/default.yaml")), Generation(2)
assert check_lineage(Path(), g2) == set()
manifest = make_manifest(Path(), g2, set(), set())
check_content(Path(), manifest)
card = model_card(config, manifest, "owner/lineage")
assert "g2 is a difference to the weights of the founder" in card and "lamarck export g2" in card
model = servable(g2)
assert (model.weights, model.change) == (Path("results/g0/weights"), Path("results/g2/delta"))
members = find_members(config)
pieces = {(each.name, piece.kind): piece.state for each in members for piece in each.pieces}
assert pieces["g1", "delta"] == pieces["g2", "delta"] == "whole" and ("g1", "adapter") not in pieces
assert set(find_trainings(members)[0]) == {"g1", "g2"}
print(json.dumps(manifest.files))
"""


def the_rest_takes_it(project: Project) -> dict[str, str]:
    """The files that would be published."""
    files: dict[str, str] = json.loads(project.run("python", "-c", TAKES_IT).stdout)
    return files


APOLLO = {"kind": "apollo", "rank": 32, "renew_every": 10}


def test_deltas_by_apollo_pass_both_gates_and_come_back_by_dvc_pull(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    config = yaml.safe_load((project.root / "config/default.yaml").read_text())
    whole = {"form": "delta", "optimizer": APOLLO, "learning_rate": 1e-3, "steps": 12}
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
        assert training["steps"] == 12
        assert not (project.root / f"results/{generation}/adapter").exists()
    answers = {(project.root / f"results/g{number}/samples.jsonl").read_bytes() for number in range(3)}
    assert len(answers) == 3  # each was another model
    assert project.read("results/lineage.json")["main"][0]["reward"] == project.read("results/g2/eval.json")["score"]
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

    manifest = the_rest_takes_it(clone)
    assert manifest["results/g2/delta/delta.safetensors"] == file_digests(delta.parent)[delta.name]

    delta.chmod(0o644)
    delta.write_bytes(delta.read_bytes() + b"x")
    done = clone.run("lamarck", "verify", check=False)
    assert done.returncode == 1 and "results/g2/delta does not hold" in done.stdout
