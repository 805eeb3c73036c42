"""The same Snakefile on rented GPUs: what `snakemake --profile runpod` makes is what a local run makes."""

import shutil
from pathlib import Path

from tests.pipeline.conftest import Project
from tests.runpod.fake import FakeRunPod

# The profile's own settings but for size and pace: a container here has the environment already.
HERE = (
    *("--profile", "runpod", "--jobs", "2", "--precommand", "true", "--runpod-setup", "true"),
    *("--runpod-gpu-memory", "24", "--runpod-poll-seconds", "0.5"),
)
ARTIFACTS = ("curriculum.jsonl", "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "samples.jsonl")
GENERATIONS = ("g1", "g2", "control/g1", "control/g2")


def test_a_lineage_on_pods_is_the_lineage_made_here(
    at_gate: Project, finished: Project, runpod: FakeRunPod, tmp_path: Path
) -> None:
    """One pod from gate to gate; every artifact has the local one's bytes, and its record holds here.

    The founder and the suite's student are at hand, as with a real 70B: everything after them is made on pods.
    """
    project = at_gate.copy(tmp_path / "project")
    for left in ("results/g1", "results/control", "results/g0/eval.json", "results/g0/samples.jsonl"):
        path = project.root / left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    first = project.snakemake(*HERE)
    assert "g1 waits for a human" in first and "of $40.00 spent so far" in first, "not the profile's ceiling"
    project.approve("g1")
    assert "g2 waits for a human" in project.snakemake(*HERE)
    project.approve("g2")
    last = project.snakemake(*HERE)
    assert "The lineage is complete" in last and "of $3.00 spent so far" in last, "not the ceiling of the approved plan"
    assert len(runpod.all_pods) == 3
    assert not runpod.running()
    for name in [f"results/{generation}/{file}" for generation in GENERATIONS for file in ARTIFACTS]:
        assert (project.root / name).read_bytes() == (finished.root / name).read_bytes(), name
    for name in ("results/g1/plan.json", "results/g2/plan.json"):
        assert (project.root / name).read_bytes() == (finished.root / name).read_bytes(), name
    made_here = finished.read("results/g2/adapter/training.json")["record"]["code"]
    assert project.read("results/g2/adapter/training.json")["record"]["code"] == made_here
    assert "artifacts match their records" in project.run("lamarck", "verify").stdout
    assert "Nothing to be done" in project.snakemake()
