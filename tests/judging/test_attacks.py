"""Programs that want points without the skill: none wins a rung.

attacks/FAMILY/NAME.py. Each is judged as a module with a function to write, and as a script to repair, by examinations
that a right answer passes.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from lamarck.judging.examination import examine
from lamarck.judging.sandbox import MIB, Limits, Sandbox
from lamarck.suites.tasks.load import load_task
from tests.ahead import Ahead, asked

CORPUS = Path(__file__).with_name("attacks")
PROGRAMS = {f"{path.parent.name}/{path.stem}": path.read_text(encoding="utf-8") for path in CORPUS.glob("*/*.py")}
SUITE = Path(__file__).parents[2] / "config/suites/v1r2/engineering"
ATTACKER = Limits(seconds=1, memory_bytes=1024 * MIB, disk_bytes=16 * MIB)

# In both, each function is a rung of its own; the first asks for a number, the others for tensors and lists.
MODULE = """
import torch
from examiner import ask, close, equal, refuses


def number():
    equal(ask("double(3)"), 6)


def refusal():
    assert refuses("double(None)")
    equal(ask("double(4)"), 8)


def loop():
    assert all(map(lambda n: ask("double(n)", n=n) == 2 * n, range(2, 5)))


def text():
    equal(ask("double('ab')"), "abab")


def tensor():
    x = torch.arange(6.0).reshape(2, 3) - 1.5
    close(ask("double(x)", x=x), x * 2)


def gradient():
    x = torch.tensor([1.0, 2.0])
    close(ask("x.requires_grad_()\\ndouble(x).square().sum().backward()\\nx.grad", x=x), 8 * x)
"""
SCRIPT = """
import torch
from examiner import ask, close, equal


def printed():
    equal(ask("printed"), "[0.5, 0.5]\\n")


def rate():
    equal(ask("RATE"), 0.5)


def losses():
    said = ask("losses")
    assert len(said) == 100 and 0 <= said[-1] < 0.1 * said[0]


def half():
    x = torch.tensor([4.0, -1.0, 3.0])
    close(ask("half(x)", x=x), x / 2)
"""
RUNGS = {
    "module": (MODULE, ("number", "refusal", "loop", "text", "tensor", "gradient")),
    "script": (SCRIPT, ("printed", "rate", "losses", "half")),
}
HALVES = """
import torch

RATE = 0.5
losses = [1 / n for n in range(1, 101)]


def half(x):
    return x * RATE


print(half(torch.ones(2)).tolist())
"""
DOUBLES = """
def double(x):
    if x is None:
        raise ValueError("nothing to double")
    return x * 2
"""
RIGHT = {"module": DOUBLES, "script": HALVES}


Winnings = Ahead[tuple[str, Any], set[str]]


def won(code: str, kind: Literal["module", "script"], sandbox: Sandbox, limits: Limits = ATTACKER) -> set[str]:
    """The rungs that a program wins, each by itself."""
    examination, rungs = RUNGS[kind]
    found = examine(sandbox, code, examination + EACH.format(rungs=rungs), (("any", "test_"),), limits, kind=kind)
    return {rung for rung in rungs if f"won {rung}" in found.why.splitlines()}


EACH = """
import sys


def attempt(rung):
    try:
        globals()[rung]()
    except Exception:
        return False
    print("won", rung, file=sys.stderr)
    return True


def test_each():
    assert any([attempt(rung) for rung in {rungs!r}])
"""


@pytest.fixture(scope="module")
def winnings(sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[Winnings]:
    """(program, kind) -> the rungs that it wins: neighbours while they attack."""
    with Ahead(asked(request, "program", "kind"), lambda pair: won(PROGRAMS[pair[0]], pair[1], sandbox)) as ahead:
        yield ahead


@pytest.mark.parametrize("kind", RUNGS)
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_no_program_wins_a_rung(winnings: Winnings, program: str, kind: str) -> None:
    assert winnings[program, kind] == set()


@pytest.mark.parametrize("kind", RUNGS)
def test_a_right_answer_wins_them_all(kind: str, sandbox: Sandbox) -> None:
    """What makes the corpus mean something, before and after every attack: the same examinations can be passed."""
    assert won(RIGHT[kind], kind, sandbox, Limits(seconds=60)) == set(RUNGS[kind][1])


def test_the_corpus_is_large() -> None:
    families = {name.partition("/")[0] for name in PROGRAMS}
    assert families == {"builtins", "types", "judge", "leave", "next"}
    assert len(PROGRAMS) >= 60


def test_one_constant_answer_wins_nothing_in_the_suite(sandbox: Sandbox) -> None:
    """It passed forty of forty rungs while answer and tests shared a process."""
    constant = f"Cause: A\nObservation: 0\n\n```python\n{PROGRAMS['builtins/enum_module_reaches_exec']}```\n"
    tasks = [load_task(path) for path in sorted(SUITE.glob("*.yaml")) if path.name.startswith(("custom", "diagnosis"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        judged = list(pool.map(lambda task: task.judge(constant, sandbox), tasks))
    rungs = ("passes", "fix_works", "no_new_bug")
    assert len(tasks) == 25
    assert [task.name for task, each in zip(tasks, judged, strict=True) if any(each.get(rung) for rung in rungs)] == []
