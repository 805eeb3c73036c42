"""An evaluation through a server is the evaluation beside it, item by item."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lamarck.config.engine import HFEngineConfig, ServerEngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.engine.hf import HFEngine
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.sanity import run_sanity
from lamarck.lineage.digest import model_digest, served_name
from lamarck.lineage.generation import Generation
from lamarck.serve.app import build_app
from lamarck.suites.sections import LadderTask
from lamarck.suites.suite import Suite
from tests.serving import serving


@pytest.fixture(scope="module")
def beside(model: Path) -> HFEngine:
    return HFEngine(HFEngineConfig(batch_size=64), model, None)


@pytest.fixture(scope="module")
def served(beside: HFEngine, model: Path) -> Iterator[Engine]:
    name = served_name(Generation(0), model_digest(model, None))
    with serving(build_app(beside, name, None, ["*"])) as url:
        yield load_engine(ServerEngineConfig(kind="server", url=f"{url}/v1", chat=False), model, None)


def test_sanity(suite: Suite, beside: Engine, served: Engine) -> None:
    here, there = run_sanity(suite, beside), run_sanity(suite, served)
    assert there.errors == {}
    assert there.samples == here.samples
    assert there.tasks == here.tasks
    assert len({row["answer"] for row in here.samples}) > 10
    assert there.facts["bits_per_byte"] == pytest.approx(here.facts["bits_per_byte"], abs=1e-5)


def test_ladders(suite: Suite, beside: Engine, served: Engine) -> None:
    """The tasks that are decoded greedily; writing draws, and each engine draws in its own way."""
    names = {task.name for task in suite.tiers.engineering.tasks if isinstance(task, LadderTask)}
    here, there = (
        [row for row in run_engineering(suite, engine).samples if row["task"] in names] for engine in (beside, served)
    )
    assert {row["task"] for row in here} == names
    assert there == here
