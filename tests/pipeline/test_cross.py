"""A child of two parents: described, planned, answered by a human, made of both adapters, scored, and shown."""

import json
from pathlib import Path

import yaml
from safetensors.torch import load_file

from tests.pipeline.conftest import Project

SHOWS = """
import json
from pathlib import Path
from lamarck.config import load_config
from lamarck.lineage.dvc import pipeline
from lamarck.lineage.generation import Generation
from lamarck.report.page.gather import gather
from lamarck.report.page.outcomes import Outcomes
from lamarck.serve.model import servable

path = Path("config/default.yaml")
config = load_config(path)
lineage = gather(config, Outcomes())
[member] = [each for each in lineage.members if each.name == "cross/g3"]
assert member.parents == ["g2", "control/g2"], member
assert {piece.kind: piece.state for piece in member.pieces} == {"plan": "whole", "crossed": "whole", "scores": "whole"}
assert not lineage.problems, lineage.problems
score = lineage.scores["cross/g3"]
assert score.to_parent and score.to_other_parent and not score.note, score
assert servable(Generation(3, "cross")).change == Path("results/cross/g3/adapter")
assert "crossed-cross-g3" in pipeline(config, path)["stages"]
"""


def test_two_generations_have_a_child(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    said = project.run("lamarck", "cross", "g2", "control/g2", "--to", "cross/g3").stdout
    assert "the lesser of its parents'" in said and "lamarck approve cross/g3" in said
    # One arm is enough here.
    description = project.root / "results/cross/lineage.yaml"
    values = yaml.safe_load(description.read_text())
    values["overlay"]["control"] = False
    description.write_text(yaml.safe_dump(values))

    project.snakemake("results/cross/g3/plan.json")
    assert "A child of two parents".lower() in project.run("lamarck", "review", "cross/g3").stdout.lower()
    project.approve("cross/g3")
    project.snakemake("results/cross/g3/eval.json")
    training = project.read("results/cross/g3/adapter/training.json")
    ranks = [project.read(f"results/{name}/adapter/adapter_config.json")["r"] for name in ("g2", "control/g2")]
    assert training["rank"] == sum(ranks) and training["residual"] is None
    assert training["budget"]["ceiling_device_seconds"] == 3600 and training["budget"]["used_device_seconds"] > 0

    # What it adds to a weight is exactly what both add to it.
    def added(name: str, module: str) -> object:
        directory = project.root / "results" / name / "adapter"
        config = json.loads((directory / "adapter_config.json").read_text())
        tensors = load_file(directory / "adapter_model.safetensors")
        product = tensors[f"{module}.lora_B.weight"] @ tensors[f"{module}.lora_A.weight"]
        return product * (config["lora_alpha"] / config["r"])

    tensors = load_file(project.root / "results/g2/adapter/adapter_model.safetensors")
    module = next(iter(tensors)).split(".lora_")[0]
    difference = added("cross/g3", module) - added("g2", module) - added("control/g2", module)  # type: ignore[operator]
    assert float(difference.abs().max()) < 1e-5
    card = (project.root / "results/cross/g3/adapter/README.md").read_text()
    assert "model-index" in card and "control/g2" in card and "graph TD" in card

    project.run("python", "-c", SHOWS)
    rows = json.loads(project.run("lamarck", "status", "--json").stdout)["generations"]
    [row] = [row for row in rows if row["generation"] == "cross/g3"]
    assert row["gate"]["state"] == "open" and row["score"] is not None
    assert set(row["artifacts"].values()) == {None}
    assert "Nothing to be done" in project.snakemake("--dry-run", "results/cross/g3/eval.json")

    # A byte of it that changes is found.
    adapter = project.root / "results/cross/g3/adapter/adapter_model.safetensors"
    adapter.chmod(0o644)
    adapter.write_bytes(adapter.read_bytes() + b"x")
    done = project.run("lamarck", "verify", check=False)
    assert done.returncode == 1 and "results/cross/g3/adapter does not hold" in done.stdout
