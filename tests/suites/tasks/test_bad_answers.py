"""Answers that are not valid, to every kind of task that is judged by running them."""

import pytest

from lamarck.eval.engineering_tier import judge_answers
from lamarck.judging.sandbox import Sandbox
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.load import KINDS, load_task
from tests.commands.test_suite import ROOT

TASKS: dict[str, EngineeringTask] = {}
for path in sorted(max((ROOT / "config/suites").glob("*/engineering")).glob("*.yaml")):
    kind = next(name for name in KINDS if path.stem.startswith(name))
    if kind not in TASKS:
        TASKS[kind] = load_task(path)


def bad(reference: str) -> dict[str, str]:
    return {
        "empty": "",
        "binary": "\x00\xff\ufffd" * 1000,
        "10 MB": "(" * 10**7,
        "fences": "```\n" * 100_000,
        "thinks without end": f"<think>{reference}",
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", bad(""))
def test_what_is_not_an_answer_climbs_nothing(how: str, kind: str, sandbox: Sandbox) -> None:
    task = TASKS[kind]
    (rungs,) = judge_answers([task], [bad(task.reference)[how]], sandbox)
    assert rungs == dict.fromkeys(task.rungs, False)
