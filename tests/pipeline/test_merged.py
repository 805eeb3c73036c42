"""A lineage that is founded on a merge passes both gates as any does; a parent that changes makes the founder again."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.pipeline.conftest import Project


def write_parents(root: Path, weights: Path) -> None:
    """Three models near a founder that can write, in place of those that config/merges/founder.yaml names."""
    for number, name in enumerate(("base", "first", "second")):
        directory = root / "models" / name
        directory.mkdir(parents=True)
        for path in weights.glob("*"):
            if path.suffix == ".json" and path.name != "source.json":
                shutil.copyfile(path, directory / path.name)
        noise = torch.Generator().manual_seed(number)
        save_file(
            {
                key: tensor + 1e-3 * number * torch.randn(tensor.shape, generator=noise)
                for key, tensor in load_file(weights / "model.safetensors").items()
            },
            directory / "model.safetensors",
            {"format": "pt"},
        )
    (root / "models/first/README.md").write_text("---\nlicense: apache-2.0\n---\n")


def test_a_merge_is_raised(at_gate: Project, tmp_path: Path) -> None:
    project = at_gate.copy(tmp_path / "project")
    write_parents(project.root, project.root / "results/g0/weights")
    for path in ("results/g0", "results/g1", "results/control"):
        shutil.rmtree(project.root / path, ignore_errors=True)
    project.config(founder={"kind": "merge", "file": "config/merges/founder.yaml"}, control=False)
    project.snakemake("results/g1/plan.json", "results/g0/check.json")
    source = project.read("results/g0/weights/source.json")
    assert {each["name"]: each["license"] for each in source["parents"]} == {
        "base": None, "first": "apache-2.0", "second": None,
    }  # fmt: skip
    assert project.read("results/g0/check.json")["model_type"] == "llama"
    assert "ancestors" in (project.root / "results/g0/weights/README.md").read_text().lower()
    project.approve("g1")
    project.snakemake("results/g2/plan.json")
    assert not (project.root / "results/g2/adapter").exists()
    project.approve("g2")
    project.snakemake("results/g2/adapter")
    status = json.loads(project.run("lamarck", "status", "--json").stdout)
    made = {row["generation"]: row["artifacts"] for row in status["generations"]}
    assert [made["g0"]["weights"], made["g1"]["adapter"], made["g2"]["adapter"]] == [None] * 3
    assert "artifacts match their records" in project.run("lamarck", "verify").stdout

    # Another parent: g0 is another model, and all that was raised from it is asked about again.
    config = project.root / "models/second/tokenizer_config.json"
    config.write_text(config.read_text() + "\n")
    founder = json.loads(project.run("lamarck", "status", "--json").stdout)["generations"][0]["artifacts"]
    assert founder["weights"] == "changed since: merge"
    shutil.rmtree(project.root / "models/first")
    said = project.snakemake(check=False)
    assert "models/first, where config/merges/founder.yaml says that first lies, is not a directory" in said
    assert (project.root / "results/g2/adapter").exists()
