"""A founder that was bred: evolved on the tiny world, and raised through both gates."""

import re

import pytest
import yaml

from tests.pipeline.conftest import Project

GENOME = {
    "model": {
        "name": "small",
        "emb": {"dim": 64, "vocab": 2},
        "blocks": [
            {
                "attn": {"kind": "MHA", "heads": 4, "head_dim": 32, "rope": "standard"},
                "ffn": {"type": "dense", "hidden": 128},
            }
        ]
        * 2,
    },
    "train": {"lr": 0.006, "warmup": 5, "weight_decay": 0.05},
}
EVOLUTION = {
    "description": "A small one, on the world of the lineage that it founds.",
    "seeds": ["config/small.genome.yaml"],
    "text": {"kind": "world", "configfile": "config/default.yaml"},
    "data": {"seq_len": 64, "batch_size": 32},
    "generations": 3,
    "evolution": {
        "population": 1,
        "rung1_tokens": 2048,
        "rung2_tokens": 2048 * 70,
        "crossover_prob": 0,
        "pareto_objectives": ["bits_per_byte", "memory"],
    },
    "operators": {"toggle_qk_norm": 1, "tune_attn_gating": 1, "insert_layer_scale": 1, "insert_assoc_memory": 1},
    "repeats": 2,
    "limits": {"parameters": 1_000_000, "memory_mb": 1000},
    "controls": {"survivors": 1, "seeds": []},
    "device_seconds": 600,
}


def evolve(project: Project) -> str:
    """The last candidate, which inherits from those before it."""
    # YAML without aliases: what is written twice is said twice.
    (project.root / "config/small.genome.yaml").write_text(yaml.dump(GENOME, Dumper=Plain, sort_keys=False))
    (project.root / "config/small-world.yaml").write_text(yaml.safe_dump(EVOLUTION, sort_keys=False))
    command = ("lamarck", "evolve", "run", "config/small-world.yaml", "--by", "A Tester", "--digest")
    asked = project.run(*command, "unread", check=False)
    assert asked.returncode == 1 and "nothing is approved" in asked.stdout
    found = re.search(r"Its short digest: (\w+)", asked.stdout)
    assert found
    said = project.run(*command, found[1]).stdout
    assert "all 3 generations and the controls are done" in said
    return "g2-c00"


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


@pytest.fixture(scope="module")
def project(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return blank.copy(tmp_path_factory.mktemp("evolved") / "project")


def test_a_survivor_founds_a_lineage_through_both_gates(project: Project) -> None:
    candidate = evolve(project)
    project.config(founder={"kind": "evolved", "evolution": "small-world", "candidate": candidate}, control=False)
    assert "g1 waits for a human" in project.snakemake()
    source = project.read("results/g0/weights/source.json")
    assert (source["kind"], source["candidate"], source["line"][-1]) == ("evolved", candidate, candidate)
    bred = (project.root / f"results/evolve/small-world/candidates/{candidate}/full/model.safetensors").read_bytes()
    assert (project.root / "results/g0/weights/model.safetensors").read_bytes() == bred
    assert project.read("results/g0/check.json")["model_type"] == "lamarck_genome"
    project.approve("g1")
    assert "g2 waits for a human" in project.snakemake()
    project.approve("g2")
    project.snakemake()
    assert project.read("results/g2/eval.json")["partial"] is False
    assert project.read("results/g2/adapter/training.json")["budget"]["stopped_by"] == "steps"
