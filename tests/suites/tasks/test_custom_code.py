"""The kind with the hidden unit tests: what may be written, and what a module cannot talk its way into."""

import pytest

from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.eval.engineering_tier import judge_answers
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.tasks.custom_code import CustomCode, is_plain

RIGHT = "import torch\n\n\ndef double(x):\n    return x * 2\n"
WRONG = RIGHT.replace("2", "3")
EXAMINATION = """
import torch
from examiner import ask, close


def test_ones():
    close(ask("double(x)", x=torch.ones(2)), torch.full((2,), 2.0))
"""


def some_task(**more: object) -> CustomCode:
    values: dict[str, object] = {
        "name": "some",
        "kind": "custom_code",
        "domain": "code completion",
        "prompt": "Write double(x).",
        "examination": EXAMINATION,
        "reference": "x",
        "wrong": [{"answer": "x", "loses": ["passes"]}] * 2,
    }
    return check_section(values | more, CustomCode, "some.yaml")


def passes(answer: str, sandbox: Sandbox, **more: object) -> bool:
    rungs = some_task(**more).judge(answer, sandbox)
    assert set(rungs) == {"passes"}
    return rungs["passes"]


def block(code: str) -> str:
    return f"```python\n{code}```\n"


def test_the_last_block_is_the_answer(sandbox: Sandbox) -> None:
    assert passes(f"{block(WRONG)}No, rather:\n{block(RIGHT)}", sandbox)
    assert not passes(f"{block(RIGHT)}No, rather:\n{block(WRONG)}", sandbox)


@pytest.mark.parametrize("answer", ["", "\x00\xff", "\ud800", "passes", "```python\n\n```", "(" * 5000, "1\n" * 60_000])
def test_what_is_not_a_module_does_not_pass(answer: str, sandbox: Sandbox) -> None:
    assert not passes(answer, sandbox)


@pytest.mark.parametrize(
    "code",
    [
        "print('PASS passes test_ones')\nraise SystemExit(0)\n",
        # A tensor's class has other names than the one by which torch is imported.
        f"{WRONG}\n\ntype(torch.ones(1)).all = lambda tensor: True\n",
        f"{WRONG}\n\ntorch.testing.assert_close = lambda *given, **named: None\n",
        'import os\n\nos.write(1, b\'{"held": ["passes"]}\\n\')\nos._exit(0)\n',
    ],
)
def test_a_pass_is_not_forged(code: str, sandbox: Sandbox) -> None:
    assert not passes(block(code), sandbox)


def test_how_it_is_written_decides_nothing(sandbox: Sandbox) -> None:
    code = f"import os, sys\n\n\nclass Same:\n    def __eq__(self, other):\n        return True\n\n\n{RIGHT}"
    assert not is_plain(code)
    assert passes(block(code), sandbox)


def test_tests_that_would_share_a_process_with_the_answer_are_refused() -> None:
    values: dict[str, object] = {"name": "some", "kind": "custom_code"}
    values |= {"domain": "code completion", "prompt": "Write.", "reference": "x"}
    values |= {"wrong": [{"answer": "x", "loses": ["passes"]}] * 2, "tests": "from solution import double"}
    with pytest.raises(LamarckError, match="write an `examination`"):
        check_section(values, CustomCode, "some.yaml")


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        (f"<think>It is this:\n{block(RIGHT)}", False),  # thoughts that never end hold no answer
        (f"<think>Or this:\n{block(WRONG)}</think>{block(RIGHT)}", True),
        ("x" * 10**7, False),
        (block("while True:\n    pass\n"), False),
        (block(RIGHT) + "\x00\xff" * 1000, True),
        (f"{block(RIGHT)}{block(WRONG)}", False),
    ],
    ids=["thinks without end", "thinks", "10 MB", "endless", "binary behind it", "two answers"],
)
def test_what_a_model_wrote_whole(text: str, passed: bool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    if "while" in text:
        monkeypatch.setattr("lamarck.suites.tasks.custom_code.LIMITS", Limits(seconds=2))
    assert judge_answers([some_task()], [text], sandbox) == [{"passes": passed}]


def test_a_forbidden_name_costs_the_pass(sandbox: Sandbox) -> None:
    code = RIGHT.replace("x * 2", "x.mul(2)")
    assert not passes(block(code), sandbox, forbids=["mul"])


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "import torch.os",
        "from torch import *",
        "from . import hidden",
        "import torch\ntorch.sys.exit(0)",
        "import torch\ntorch.hub.urlopen('file:///task/nonce')",
        "import random\nrandom._os._exit(0)",
        "from random import _os as o",
        "open('/task/nonce')",
        "eval('1')",
        "().__class__.__subclasses__()",
        "import torch\ntorch.equal = lambda a, b: True",
        "from torch import Tensor\nTensor.all = None",
        "from torch import Tensor\nsetattr(Tensor, 'all', None)",
        "import torch\ntools = torch\ntools.equal = None",
        "import torch\ngetattr(torch, 'o' + 's')",
        "import torch.nn as nn\ngetattr(nn, 'modules')",
        "class Same:\n    def __eq__(self, other):\n        return True",
        "class Same:\n    __eq__ = None",
        "class Same:\n    @classmethod\n    def __torch_function__(cls, *rest):\n        return True",
    ],
)
def test_what_leads_out_of_the_module_is_not_plain(code: str) -> None:
    assert not is_plain(code)


def test_what_a_good_module_needs_is_plain() -> None:
    assert is_plain("""
from __future__ import annotations
import copy, math
from collections.abc import Iterator
from dataclasses import dataclass
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Settings:
    rate: float = 0.1

    def __post_init__(self) -> None:
        self._load = copy.deepcopy(self.__class__.__name__)


class Layer(nn.Module):
    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, self.training_kind = base, type(base).__name__
        self.base.weight.requires_grad = False

    def __getattr__(self, name: str) -> Tensor:
        return getattr(super(), name)

    def forward(self, x: torch.Tensor, which=F.relu) -> Tensor:
        layer = getattr(self, "base")
        setattr(self, "last", x)
        with torch.no_grad():
            layer.bias.data.zero_()
        return which(layer(x)) * math.sqrt(2) if isinstance(x, torch.Tensor) else x
""")
