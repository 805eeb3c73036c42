"""A machine died, and its second place has a copy: the training goes on elsewhere, under the same ceiling."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
import torch
import yaml

from lamarck.config import load_config
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.files import digest_value, write_json
from lamarck.gate.journal import journal_of
from lamarck.gate.plan import PlanInputs, build_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.artifacts import trained_kind
from lamarck.seal import SECRET
from lamarck.train.checkpoint import Checkpoints, Progress
from lamarck.train.model import load_trainable
from lamarck.train.optimizer import build_optimizer, grouped
from lamarck.train.second_place import copy_to_second_place
from lamarck.train.take_in import take_in
from lamarck.train.team import alone
from tests.train.checkout import G1, lay_out

CONFIG = Path("config/default.yaml")
CPU = alone(torch.device("cpu"))
PLACE = "second place/g1"


@pytest.fixture
def died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path, tiny_items: list[Item]) -> None:
    """A checkout in which g1 is planned, and a copy of a checkpoint of its step 3 that another one made."""
    monkeypatch.chdir(tmp_path)
    lay_out(tiny_weights, tiny_items)
    values = yaml.safe_load(CONFIG.read_text()) | {"suite": "suite", "control": False}
    values["recipe"] |= {"steps": 20, "form": "delta"}
    CONFIG.write_text(yaml.safe_dump(values))
    plan = build_plan(load_config(CONFIG), G1, PlanInputs(G1.weights, None, G1.curriculum, None, None))
    write_json(G1.plan, plan.model_dump(mode="json"))
    Run().save(Path("elsewhere"))
    copy_to_second_place(Path("elsewhere"), PLACE)
    SECRET.unlink()  # the other checkout's


class Run:
    def __init__(self) -> None:
        config = load_config(CONFIG)
        self.name = digest_value(trained_kind(config).input_digests(config, G1))
        self.model = load_trainable(G1.weights, None, config.recipe, torch.device("cpu"))
        self.optimizer = build_optimizer(grouped(self.model), config.recipe.optimizer, 1e-3, 0.98, 0.0, 0)

    def save(self, directory: Path) -> None:
        with torch.no_grad():
            next(self.model.parameters()).fill_(7)
        with closing(Checkpoints(directory, self.name, CPU)) as checkpoints:
            checkpoints.save(self.model, self.optimizer, Progress(step=3, device_seconds=11.0, spent=50.0))

    def resume(self) -> Progress:
        with closing(Checkpoints(G1.directory / "checkpoint", self.name, CPU)) as checkpoints:
            return checkpoints.resume(self.model, self.optimizer)


def spent() -> float:
    return journal_of("g1", plan_digest(build_plan(load_config(CONFIG), G1, _inputs()))).spent()


def _inputs() -> PlanInputs:
    return PlanInputs(G1.weights, None, G1.curriculum, None, None)


def test_a_copy_is_taken_in_sealed_counted_and_named(died: None) -> None:
    shutil.copytree(PLACE, G1.directory / "checkpoint")
    with pytest.raises(LamarckError, match="taken in by `lamarck resume`"):
        Run().resume()  # as it is, it is evidence of nothing
    shutil.rmtree(G1.directory / "checkpoint")
    taken = take_in(load_config(CONFIG), G1, PLACE, "A Tester")
    run = Run()
    progress = run.resume()
    assert (progress.step, progress.device_seconds, progress.resumed) == (3, 11.0, 1)
    assert bool((next(run.model.parameters()) == 7).all())
    assert progress.taken_in == [{"place": PLACE, "step": 3, "digest": taken.digest, "by": "A Tester"}]
    assert spent() == 50.0  # of the ceiling: a machine that dies does not renew it


def test_a_copy_never_lowers_what_was_spent_here(died: None) -> None:
    journal_of("g1", plan_digest(build_plan(load_config(CONFIG), G1, _inputs()))).carry(80.0)
    take_in(load_config(CONFIG), G1, PLACE, "A Tester")
    assert spent() == 80.0


def test_what_is_not_a_copy_of_this_run_is_refused(died: None) -> None:
    config = load_config(CONFIG)
    with pytest.raises(LamarckError, match="cannot be fetched"):
        take_in(config, G1, "nowhere", "A Tester")
    with pytest.raises(LamarckError, match="holds no checkpoint"):
        take_in(config, G1, "second place", "A Tester")
    [file] = Path(PLACE).glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(LamarckError, match="is damaged"):
        take_in(config, G1, PLACE, "A Tester")
    file.write_bytes(whole)
    other = config.model_copy(update={"recipe": config.recipe.model_copy(update={"learning_rate": 1.0})})
    with pytest.raises(LamarckError, match="a checkpoint of another run"):
        take_in(other, G1, PLACE, "A Tester")
    assert spent() == 0.0
    take_in(config, G1, PLACE, "A Tester")
    with pytest.raises(LamarckError, match="delete it to go on from the copy instead"):
        take_in(config, G1, PLACE, "A Tester")
