"""The engine hf on a GPU: what it answers on a CPU."""

from pathlib import Path

import pytest
import torch

from lamarck.config import StageMachine
from lamarck.config.engine import HFEngineConfig
from lamarck.engine import load_engine
from lamarck.engine.hf import HFEngine
from tests.gpu import needs_gpu
from tests.tiny import PROMPTS

pytestmark = needs_gpu


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> HFEngine:
    loaded = load_engine(HFEngineConfig(batch_size=16), tiny_model, None, StageMachine(gpu="H100 SXM"))
    assert isinstance(loaded, HFEngine)
    return loaded


def test_a_step_that_is_planned_on_a_gpu_runs_there(engine: HFEngine) -> None:
    assert engine.device_name == "cuda"
    assert {value.device.type for value in engine.model.parameters()} == {"cuda"}


def test_greedy_answers_are_those_of_the_cpu(
    engine: HFEngine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = engine.generate(PROMPTS, max_new_tokens=40)
    scores = engine.loglikelihoods(PROMPTS)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    beside = HFEngine(HFEngineConfig(batch_size=16), tiny_model, None)
    assert beside.device_name == "cpu"
    assert found == beside.generate(PROMPTS, max_new_tokens=40)
    assert scores == pytest.approx(beside.loglikelihoods(PROMPTS), rel=1e-3)


def test_sampling_is_seeded(engine: HFEngine) -> None:
    first, again, other = (
        engine.generate(PROMPTS, max_new_tokens=20, temperature=1.0, top_p=0.95, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
