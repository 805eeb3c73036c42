"""The same Snakefile on rented GPUs: what `snakemake --profile runpod` makes is what a local run makes."""

import os

from tests.pipeline.conftest import Project
from tests.runpod.fake import FakeRunPod

# The profile's own settings but for size and pace: a container has the environment already.
HERE = (
    *("--profile", "runpod", "--jobs", "2", "--precommand", "true", "--runpod-setup", "true"),
    *("--runpod-gpu-memory", "24", "--runpod-poll-seconds", "0.5"),
)
ARTIFACTS = ("curriculum.jsonl", "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "samples.jsonl")
GENERATIONS = ("g1", "g2", "control/g1", "control/g2")


def test_a_lineage_on_pods_is_the_lineage_made_here(
    blank: Project, finished: Project, runpod: FakeRunPod, tmp_path: os.PathLike[str]
) -> None:
    from pathlib import Path

    project = blank.copy(Path(tmp_path) / "project")
    import time

    for generation in ("g1", "g2"):
        t = time.time()
        print(project.snakemake(*HERE))
        print("TIME", time.time() - t)
        assert not runpod.running()
        project.approve(generation)
    t = time.time()
    print(project.snakemake(*HERE))
    print("TIME", time.time() - t)
    for name in [f"results/{generation}/{file}" for generation in GENERATIONS for file in ARTIFACTS]:
        assert (project.root / name).read_bytes() == (finished.root / name).read_bytes(), name
