"""Every test of the gate starts in a directory of its own, in which g1 and its control arm have been planned."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.gate.project import G1, ROOT, config, write_curriculum, write_plan

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 131,
    "max_position_embeddings": 128,
}


@pytest.fixture(autouse=True)
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory in which g1 and its control arm have been planned."""
    monkeypatch.chdir(tmp_path)
    Path("suite").mkdir()
    Path("suite/suite.yaml").write_text("name: suite\n")
    Path("strategy.yaml").write_text((ROOT / "config/strategies/frontier.yaml").read_text())
    G1.weights.mkdir(parents=True)
    (G1.weights / "config.json").write_text(json.dumps(LLAMA))
    shutil.copytree(ROOT / "config", "config", ignore=shutil.ignore_patterns("suites"))
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}, G1.weights / "model.safetensors")
    write_curriculum(G1.curriculum, 1)
    write_curriculum(G1.control.curriculum, 2)
    write_plan(config())
