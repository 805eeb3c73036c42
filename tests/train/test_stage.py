"""The stage as the rule calls it, where the configuration names two processes: behind the gate, killed, and resumed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from lamarck.config import load_config
from lamarck.curriculum.item import Item, item_id
from lamarck.errors import LamarckError
from lamarck.files import digest_file, read_json, write_json, write_jsonl
from lamarck.gate.approval import Approver
from lamarck.gate.approve import approve
from lamarck.gate.journal import journal_of
from lamarck.gate.plan import ControlInputs, PlanInputs, build_plan, read_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.digest import change_digest, short, training_digest
from lamarck.train.__main__ import own_parent_change
from lamarck.train.chain import read_chain
from tests.environment import in_default_environment
from tests.train.checkout import G1, lay_out

CONFIG = Path("config/default.yaml")
CHECKPOINT = G1.directory / "checkpoint"
STEPS = 20  # of 8 examples: eight times over the 20 items
RECIPE = {"steps": None, "epochs": 8, "batch_size": 8, "checkpoint_every": 4, "dropout": 0.1}
COMMAND = (
    *(sys.executable, "-m", "lamarck.train", "--config", str(CONFIG), "--generation", "g1"),
    *("--plan", str(G1.plan), "--approval", str(G1.approval), "--weights", str(G1.weights)),
    *("--curriculum", str(G1.curriculum), "--checkpoint", str(CHECKPOINT), "--metrics", "logs/tensorboard/g1"),
    *("--output", str(G1.change)),
)

# The same program, in which the files that were approved are others from the moment on at which torch is imported: the
# gate lies behind it then, and reading for the training before it.
SWAPPED = """
import os, runpy, sys
def swap(event, arguments):
    if event == "import" and arguments[0] == "torch":
        for path in ("results/g1/curriculum.jsonl", "results/g1/plan.json", "strategy.yaml"):
            if os.path.exists(path + ".false"):
                os.replace(path + ".false", path)
sys.addaudithook(swap)
sys.argv = ["lamarck.train", *sys.argv[1:]]
runpy.run_module("lamarck.train", run_name="__main__")
"""


@pytest.fixture
def approved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path, tiny_items: list[Item]) -> None:
    """A directory in which g1 is planned for two processes and approved."""
    monkeypatch.chdir(tmp_path)
    lay_out(tiny_weights, tiny_items)
    values = yaml.safe_load(CONFIG.read_text())
    shutil.copyfile("config/strategies/frontier.yaml", "strategy.yaml")
    values |= {
        "suite": "suite",
        "strategy": "strategy.yaml",
        "control": False,
        "machines": {"train": {"gpu": "here", "count": 2}},
    }
    values["recipe"] |= RECIPE
    CONFIG.write_text(yaml.safe_dump(values))
    plan = build_plan(load_config(CONFIG), G1, PlanInputs(G1.weights, None, G1.curriculum, None, None))
    assert (plan.cost.machine.count, plan.cost.steps) == (2, STEPS)
    write_json(G1.plan, plan.model_dump(mode="json"))
    approve(G1, short(plan_digest(plan)), Approver(name="A Tester", contact="tester@example.org"))


def start(command: Sequence[str] = COMMAND) -> subprocess.Popen[str]:
    environment = in_default_environment() | {"TRANSFORMERS_VERBOSITY": "error"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def members(command: subprocess.Popen[str]) -> list[int]:
    """Process numbers of those that train, in the order of their start."""
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    return sorted(int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes())


def killed_in_the_middle() -> tuple[subprocess.Popen[str], str]:
    """The run, of which one process is killed after the first checkpoint, and what it said."""
    command = start()
    while not any(CHECKPOINT.glob("[0-9]*.safetensors")) and command.poll() is None:
        time.sleep(0.02)
    with contextlib.suppress(OSError, IndexError):  # where it is over already
        os.kill(members(command)[1], signal.SIGKILL)
    _, said = command.communicate()
    return command, said


def test_a_process_that_is_killed_ends_the_run_and_the_next_goes_on(approved: None) -> None:
    command, said = killed_in_the_middle()
    while command.returncode == 0:  # it was over before we could
        shutil.rmtree(G1.change)
        command, said = killed_in_the_middle()
    assert command.returncode == 1, said
    sentence = "error: process 2 of 2 was ended by SIGKILL; the last checkpoint is kept: run again to go on"
    assert said.splitlines()[-1] == sentence
    assert "Traceback" not in said
    assert not G1.change.exists()

    checkpoint = read_chain(CHECKPOINT)
    assert checkpoint
    before = checkpoint.notes["progress"]
    assert 0 < before["step"] < STEPS
    command = start()
    said, failed = command.communicate()
    assert command.returncode == 0, failed
    assert said.count("g1 learns what stands in brackets") == said.count("g1: 20 steps, final loss") == 1

    training = read_json(G1.change / "training.json")
    assert training["record"]["device"] == "2 x cpu"
    assert training["log"][: len(before["log"])] == before["log"]
    assert [row["step"] for row in training["log"]] == list(range(STEPS))
    assert (training["recipe"]["steps"], training["recipe"]["epochs"]) == (STEPS, 8)
    used = training["budget"]["used_device_seconds"]
    assert training["record"]["device_seconds"] == used > before["device_seconds"]
    # Its speed is that of its own steps: what the kill lost is in neither.
    assert training["tokens_per_second"] > 2 * training["tokens"] / used
    assert (training["record"]["resumed"], training["budget"]["attempts"]) == (1, 2)
    # The last checkpoint's writing comes to it, however long that takes.
    assert journal_of("g1", plan_digest(read_plan(G1.plan))).spent() >= used - 0.1
    assert not CHECKPOINT.exists()
    assert json.loads((G1.change / "adapter_config.json").read_text())["base_model_name_or_path"] == str(G1.weights)


def test_what_is_swapped_after_the_check_is_not_trained(approved: None, tiny_items: list[Item]) -> None:
    """Not in the process that checked, and not in the others."""
    digests = {"curriculum": digest_file(G1.curriculum), "plan": training_digest(G1.plan.read_bytes())}
    false = tiny_items[0].model_copy(update={"completion": "w43 w43 w43"})
    false = false.model_copy(update={"id": item_id(false.skill, false.prompt, false.completion)})
    write_jsonl(Path(f"{G1.curriculum}.false"), [false.model_dump(mode="json", exclude_none=True)] * 3)
    for path in (G1.plan, Path("strategy.yaml")):
        Path(f"{path}.false").write_text("false")
    command = start([sys.executable, "-c", SWAPPED, *COMMAND[3:]])
    said, failed = command.communicate()
    assert command.returncode == 0, failed
    assert G1.plan.read_text() == "false", "nothing was swapped"
    assert digest_file(G1.curriculum) != digests["curriculum"]
    assert "w43" not in said
    training = read_json(G1.change / "training.json")
    assert {part: training["record"]["inputs"][part] for part in digests} == digests
    assert training["examples"] == len(tiny_items)


def test_the_parents_adapter_is_loaded_as_it_was_hashed(tmp_path: Path) -> None:
    """What is trained on is a copy: nobody else can write it."""
    own, others = tmp_path / "own", tmp_path / "others"
    for directory in (own, others):
        directory.mkdir()
        (directory / "adapter_model.safetensors").write_text(directory.name)
    nowhere = tmp_path / "nowhere"
    given = PlanInputs(nowhere, own, nowhere, nowhere, ControlInputs(others, nowhere))
    for of_control, adapter in ((False, own), (True, others)):
        with own_parent_change(given, of_control) as (inputs, copy):
            read = change_digest(adapter)
            (adapter / "adapter_model.safetensors").write_text("false")
            assert copy is not None and change_digest(copy) == read
            named = inputs.control.parent_change if of_control and inputs.control else inputs.parent_change
            assert named == copy
        assert not copy.exists()
    with (
        pytest.raises(LamarckError, match="nowhere cannot be read"),
        own_parent_change(PlanInputs(nowhere, nowhere, nowhere, None, None), False),
    ):
        pass
