"""The kind that runs training scripts: what is read from the text, and what a script cannot talk its way into."""

import ast
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from lamarck.config.section import check_section
from lamarck.judging.sandbox import Sandbox
from lamarck.suites.tasks import training_room
from lamarck.suites.tasks.training_loop import TrainingLoop, _trains
from lamarck.suites.tasks.training_room import room, samples, tokens

NOTHING = dict.fromkeys(TrainingLoop.rungs, False)
FIRST_THREE = {"parses", "imports", "lora_config"}
# Ends before it imports anything that takes long.
ENDS = "import sys\nprint('left holds PASS')\nsys.exit(0)\n"
IMPORTS = f"{ENDS}import torch\nfrom peft import LoraConfig\n"


def task(**more: object) -> TrainingLoop:
    adapter = {"settings": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}}
    values: dict[str, object] = {
        "name": "some",
        "kind": "training_loop",
        "domain": "model training",
        "prompt": "Train.",
        "reference": "pass",
        "wrong": [{"answer": "pass", "loses": ["imports"]}] * 2,
        "expect": {"adapter": adapter, "loss": {"completion_below": 0.9}},
    }
    return check_section(values | more, TrainingLoop, "some.yaml")


def climbed(answer: str, sandbox: Sandbox, **more: object) -> set[str]:
    return {rung for rung, yes in task(**more).judge(answer, sandbox).items() if yes}


@pytest.mark.parametrize(
    "answer", ["", "\n", "# nothing", "\x00\x01", "\ud800", "x = (", "(" * 5000, "```python\n\n```"]
)
def test_what_is_not_a_program_climbs_nothing(answer: str, sandbox: Sandbox) -> None:
    assert task().judge(answer, sandbox) == NOTHING


def test_words_are_not_a_pass(sandbox: Sandbox) -> None:
    said = f"{IMPORTS}LoraConfig(r=4)\noptimizer.step()\n"
    assert climbed(said, sandbox) == FIRST_THREE | {"trains"}


def test_the_last_block_is_the_answer(sandbox: Sandbox) -> None:
    first = f"```python\n{IMPORTS}LoraConfig(r=4)\n```"
    assert climbed(f"{first}\nNo, rather:\n```python\n{ENDS}import peft, torch\n```", sandbox) == {
        "parses",
        "imports",
    }


# What the first room wrote is only data in the second: neither a link to the number used once nor a pickle is followed.
FORGERY = """
import os
os.makedirs("/tmp/out/adapter")
os.symlink("/task/nonce", "/tmp/out/adapter/adapter_config.json")
os.symlink("/task/nonce", "/tmp/out/adapter/adapter_model.safetensors")
open("/tmp/out/adapter/adapter_model.bin", "wb").write(b"cos\\nsystem\\n(S'true'\\ntR.")
"""


def test_a_link_is_not_an_adapter(sandbox: Sandbox) -> None:
    assert "completes" not in climbed(FORGERY, sandbox)


UNTRAINED = """
import sys
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
PeftModel.from_pretrained(model, "/task/adapter").save_pretrained(sys.argv[3])
"""


def test_the_given_adapter_handed_back_is_left_but_not_trained_as_asked(sandbox: Sandbox) -> None:
    adapter = task().expect.adapter.model_dump()
    replay = {"optimizer": "adamw", "rates": [0.01], "batches": [[0, 1]]}
    lost = task(given="adapter", expect={"adapter": adapter, "replay": replay}).judge(UNTRAINED, sandbox)
    assert lost == NOTHING | {"parses": True, "imports": True, "lora_config": True, "completes": True}


@pytest.mark.parametrize(
    ("code", "trains"),
    [
        ("optimizer.step()", True),
        ("self.opt.step()", True),
        ("x = torch.optim.AdamW(p)\nx.step()", True),
        ("scaler.step(optimizer)", True),
        ("Trainer(model=model).train()", True),
        ("t = SFTTrainer(model)\nt.train()", True),
        ("model.train()", False),
        ("scheduler.step()", False),
        ("s = get_cosine_schedule_with_warmup(optimizer, 1, 2)\ns.step()", False),
        ("optimizer.zero_grad()", False),
    ],
)
def test_who_trains(code: str, trains: bool) -> None:
    assert _trains(ast.parse(code)) is trains


def test_the_room_is_small_and_its_tokens_are_those_of_its_texts() -> None:
    files = room("checkpoint")
    assert sum(map(len, files.values())) < 2**20
    assert {"model/tokenizer.json", "data.jsonl", "checkpoint/optimizer.pt"} < set(files)
    for sample, (prompt, completion) in zip(samples(), tokens(), strict=True):
        assert (len(prompt), len(completion)) == (len(sample.prompt), len(sample.completion) + 1)


def test_threads_build_rooms_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    building: list[str] = []
    most = []

    def build(given: str) -> Mapping[str, bytes]:
        building.append(given)
        time.sleep(0.05)
        most.append(len(building))
        building.remove(given)
        return {}

    monkeypatch.setattr(training_room, "_room", build)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(room, ["adapter", "checkpoint"]))
    assert most == [1, 1]
