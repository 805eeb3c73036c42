"""A machine died, and its second place has a copy: the training goes on elsewhere, under the same ceiling."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from lamarck.cli import app
from lamarck.config import load_config
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.files import digest_value, read_json, write_json
from lamarck.gate.approval import Approver
from lamarck.gate.approve import approve
from lamarck.gate.journal import journal_of
from lamarck.gate.plan import PlanInputs, build_plan, read_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.artifacts import trained_kind
from lamarck.lineage.digest import short
from lamarck.lineage.generation import TRAINING_RECORD
from lamarck.run_lock import holding
from lamarck.seal import SECRET
from lamarck.train.checkpoint import Checkpoints, Progress
from lamarck.train.model import load_trainable
from lamarck.train.optimizer import build_optimizer, grouped
from lamarck.train.second_place import copy_to_second_place
from lamarck.train.take_in import take_in
from lamarck.train.team import alone
from tests.train.checkout import G1, ROOT, lay_out

CONFIG = Path("config/default.yaml")
STAGE = (
    *(sys.executable, "-m", "lamarck.train", "--config", str(CONFIG), "--generation", "g1"),
    *("--plan", str(G1.plan), "--approval", str(G1.approval), "--weights", str(G1.weights)),
    *("--curriculum", str(G1.curriculum), "--checkpoint", str(G1.directory / "checkpoint")),
    *("--metrics", "logs/tensorboard/g1", "--output", str(G1.directory / "delta")),
)
CPU = alone(torch.device("cpu"))
PLACE = "second place/g1"


@pytest.fixture
def died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path, tiny_items: list[Item]) -> None:
    """A checkout in which g1 is planned, and a copy of a checkpoint of its step 3 that another one made."""
    monkeypatch.chdir(tmp_path)
    lay_out(tiny_weights, tiny_items)
    values = yaml.safe_load(CONFIG.read_text()) | {"suite": "suite", "control": False}
    values["recipe"] |= {"steps": 6, "batch_size": 8, "form": "delta"}
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


def stage() -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TRANSFORMERS_VERBOSITY": "error"}
    return subprocess.run(STAGE, env=environment, capture_output=True, text=True)


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


def test_one_command_takes_it_in_and_the_record_of_the_child_names_it(died: None) -> None:
    """Wrong: a record from which nobody sees that another machine's work is in the child, and who vouches for it."""
    said = CliRunner().invoke(app, ["resume", "g1", PLACE, "--by", "A Tester"])
    assert said.exit_code == 0 and "g1 goes on from step 3" in said.output and "A Tester vouches for" in said.output
    plan = read_plan(G1.plan)
    approve(G1, short(plan_digest(plan)), Approver(name="Another", contact="tester@example.org"))
    done = stage()
    assert done.returncode == 0, done.stderr
    training = read_json(G1.change / TRAINING_RECORD)
    record = training["record"]
    assert [(each["place"], each["step"], each["by"]) for each in record["taken_in"]] == [(PLACE, 3, "A Tester")]
    assert record["resumed"] == 1 and training["steps"] == 6
    # What the machine that died had spent is spent.
    assert training["budget"]["used_device_seconds"] > 50


@pytest.mark.parametrize("elsewhere", [False, True], ids=["its checkpoint", "another checkpoint"])
def test_two_trainers_of_one_child_are_one_too_many(died: None, elsewhere: bool) -> None:
    """Wrong: a lock of the checkpoint alone, beside which another directory is free."""
    plan = read_plan(G1.plan)
    approve(G1, short(plan_digest(plan)), Approver(name="A Tester", contact="tester@example.org"))
    lock = journal_of("g1", plan_digest(plan)).lock if elsewhere else G1.directory / "checkpoint/lock"
    with holding(lock, ""):
        done = stage()
    assert done.returncode == 1 and not G1.change.exists()
    assert f"another process is training g1 (process {os.getpid()}): wait for it, or stop it" in done.stderr


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
