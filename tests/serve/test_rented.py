"""What is rented to serve a generation; that it answers is in tests/pipeline/test_runpod.py."""

from pathlib import Path

from lamarck.config import load_config
from lamarck.serve.rented import pod_of, read_profile

PROFILE = Path("profiles/runpod/config.yaml")


def test_a_generation_is_served_by_the_machine_that_scores_it() -> None:
    settings, precommand = read_profile(PROFILE, 10.0)
    assert settings.max_dollars == 10.0
    assert ".venv/bin/activate" in precommand
    large = pod_of(load_config(Path("config/70b.yaml")), settings)
    assert (large.count, large.ids[0], large.min_cuda) == (4, "NVIDIA B200", "13.0")
    alone = pod_of(load_config(Path("config/70b-one-gpu.yaml")), settings)
    assert (alone.count, alone.ids[0], alone.min_cuda) == (1, "NVIDIA H200", "13.0")
    tiny = pod_of(load_config(Path("config/default.yaml")), settings)
    assert (tiny.count, tiny.ids, tiny.memory) == (1, (), 80)


def test_nothing_that_a_served_model_writes_is_run() -> None:
    assert read_profile(PROFILE, None)[0].whole is None, "it would be refused where the sandbox cannot be built"
