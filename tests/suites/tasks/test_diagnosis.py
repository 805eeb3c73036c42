"""The kind with the broken script: what is read from the text, and what a script cannot talk its way into."""

import pytest

from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.judging.sandbox import Sandbox
from lamarck.suites.tasks.diagnosis import PROMPT, Diagnosis, value_of

NOTHING = dict.fromkeys(Diagnosis.rungs, False)
ALL = dict.fromkeys(Diagnosis.rungs, True)
BROKEN = "import torch\n\nRATE = 0.5\n\n\ndef half(x):\n    return x\n\n\nprint(half(torch.ones(2)).tolist())\n"
FIXED = BROKEN.replace("return x", "return x * RATE")
EXAMINATION = """
import torch
from examiner import ask, close


def check_half():
    close(ask("half(x)", x=torch.ones(2)), torch.full((2,), 0.5))
    assert ask("printed") == "[0.5, 0.5]\\n"


def still_what_was_right():
    assert ask("RATE") == 0.5
    close(ask("half(x)", x=torch.zeros(3)), torch.zeros(3))
"""
LINES = "Cause: B\nObservation: (2,)"


def task(**more: object) -> Diagnosis:
    values: dict[str, object] = {
        "name": "some",
        "kind": "diagnosis",
        "domain": "model training",
        "script": BROKEN,
        "symptom": "[1.0, 1.0]",
        "causes": [f"cause {number}" for number in range(6)],
        "cause": "B",
        "observation": "The shape of torch.ones(2)?",
        "observed": "[2]",
        "examination": EXAMINATION,
        "reference": "x",
        "wrong": [{"answer": "x", "loses": ["fix_works"]}] * 2,
    }
    return check_section(values | more, Diagnosis, "some.yaml")


def answer(code: str, lines: str = LINES) -> str:
    return f"{lines}\n\n```python\n{code}```\n"


def test_what_comes_last_counts_and_a_block_is_not_prose(sandbox: Sandbox) -> None:
    first = answer(BROKEN, "Cause: A\nObservation: 7")
    said = f"{first}No, rather:\n\n**Cause:** (B)\n**Observation:** `[2]`\n\n```python\n# Cause: C\n{FIXED}```\n"
    assert task().judge(said, sandbox) == ALL


def test_a_repair_that_breaks_something_else_loses_one_rung(sandbox: Sandbox) -> None:
    lost = task().judge(answer(FIXED.replace("x * RATE", "torch.full((2,), RATE)")), sandbox)
    assert lost == ALL | {"no_new_bug": False}


def test_how_a_repair_is_written_decides_nothing(sandbox: Sandbox) -> None:
    assert task().judge(answer(f"import os\n{FIXED}"), sandbox) == ALL


@pytest.mark.parametrize("text", ["", "\x00\x01", "\ud800", "Cause:\nObservation:", "```python\n\n```", "(" * 5000])
def test_what_says_nothing_climbs_nothing(text: str, sandbox: Sandbox) -> None:
    assert task().judge(text, sandbox) == NOTHING


def test_words_and_an_early_end_are_not_a_repair(sandbox: Sandbox) -> None:
    code = "print('fix_works no_new_bug')\nraise SystemExit(0)\n"
    assert task().judge(answer(code), sandbox) == ALL | {"fix_works": False, "no_new_bug": False}


@pytest.mark.parametrize(
    "trick",
    [
        # Names of Python's and of torch's, which the examiner has of its own.
        "def all(values):\n    return True\n\n\nprinted = '[0.5, 0.5]\\n'\nRATE = 0.5\n",
        "type(torch.ones(1)).tolist = lambda tensor: [0.5, 0.5]\n",
    ],
)
def test_the_checks_are_not_blinded(trick: str, sandbox: Sandbox) -> None:
    code = BROKEN.replace("print(half(torch.ones(2)).tolist())", "print([0.5, 0.5])")
    assert task().examine(code + trick, sandbox)[0] == set()


@pytest.mark.parametrize(
    ("said", "wanted", "same"),
    [
        ("[1, 2]", "(1, 2)", True),
        ("torch.Size([1, 2])", "[1,2]", True),
        ("(2,)", "[2]", True),
        ("[1, 2]", "[2, 1]", False),
        ("[[1, 2]]", "[1, 2]", False),
        ("0.50", "0.5", True),
        ("`0.5`.", "0.5", True),
        ("5e-1", "0.5", True),
        ("18.0", "18", True),
        ("-0.0125", "0.0125", False),
        ("0.51", "0.5", False),
        ("and", "**And**", True),
        ("and then", "and", False),
        ("", "0", False),
        ("[" * 300, "[", False),
        ("1" * 500, "None", False),
    ],
)
def test_values_are_compared_by_what_they_say(said: str, wanted: str, same: bool) -> None:
    assert (value_of(said) == value_of(wanted)) is same


def test_a_prompt_that_lacks_a_part_of_its_task_is_refused() -> None:
    with pytest.raises(LamarckError, match="lacks a part"):
        task(prompt=PROMPT)


def test_checks_that_would_share_a_process_with_the_answer_are_refused() -> None:
    with pytest.raises(LamarckError, match="write an `examination`"):
        task(examination="", checks="assert half(1) == 0.5", regressions="assert RATE")


def test_a_script_that_breaks_the_rules_of_its_repair_is_refused() -> None:
    with pytest.raises(LamarckError, match="breaks the rules"):
        task(script=f"import os\n{BROKEN}")
