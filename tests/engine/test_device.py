"""A step that is planned on a GPU runs on one, or not at all."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

from lamarck.config import StageMachine
from lamarck.config.engine import HFEngineConfig
from lamarck.curriculum.__main__ import main as write
from lamarck.engine import load_engine
from lamarck.errors import LamarckError
from lamarck.eval.__main__ import main as evaluate
from lamarck.models.device import device_of

PLANNED = StageMachine(gpu="H100 SXM")
SENTENCE = "this step is planned on 1 x H100 SXM, but the GPUs seen here are 0: run it where there are as many"


@pytest.fixture(autouse=True)
def _no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")


def test_only_where_the_plan_names_no_gpu_a_cpu_will_do() -> None:
    assert device_of(StageMachine()).type == device_of(StageMachine(count=2)).type == "cpu"
    with pytest.raises(LamarckError, match=SENTENCE):
        device_of(PLANNED)


@pytest.mark.parametrize("stage", [write, evaluate], ids=["curriculum", "eval"])
def test_a_stage_stops_before_it_loads_the_model(
    stage: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stage looks at its own machine: the other's is this one."""
    name = "curriculum" if stage is write else "eval"
    content = yaml.safe_load(Path("config/default.yaml").read_text(encoding="utf-8"))
    content["machines"] = {name: {"gpu": PLANNED.gpu}}
    config, empty = tmp_path / "config.yaml", tmp_path / "weights"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    empty.mkdir()
    (empty / "config.json").write_text("{}", encoding="utf-8")
    files = {"config": config, "weights": empty, "output": tmp_path / "out", "answers": tmp_path / "answers"}
    if stage is write:
        files |= {"generation": "g1", "card": tmp_path / "card"}
    else:
        files |= {"generation": "g0", "student": empty, "suite": content["suite"]}
        files |= {each: tmp_path / each for each in ("samples", "record")}
    monkeypatch.setattr(
        sys, "argv", ["stage", *(word for key, value in files.items() for word in (f"--{key}", str(value)))]
    )
    with pytest.raises(LamarckError, match=SENTENCE):
        stage()  # type: ignore[operator]
    assert not (tmp_path / "out").exists()


def test_the_engine_hf_does_not_load_on_a_cpu_what_is_planned_on_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match=SENTENCE):
        load_engine(HFEngineConfig(), tmp_path, None, PLANNED)
