"""Every engineering task of v2: its reference climbs every rung, and each wrong answer loses exactly what it should.

A rubric that cannot fail measures nothing. Answers are judged side by side, in the sandbox, as an evaluation does it;
but no curriculum is carried out twice, for that takes the longest.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lamarck.judging.sandbox import Job, Run, Sandbox
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.load import load_task
from tests.ahead import Ahead, asked

FILES = sorted((Path(__file__).parents[2] / "config/suites/v2/engineering").glob("*.yaml"))
TASKS = {task.name: task for task in map(load_task, FILES)}
REFERENCE = "reference"
ANSWERS = [
    (name, answer) for name, task in TASKS.items() for answer in (REFERENCE, *map(str, range(1, len(task.wrong) + 1)))
]
Judged = Ahead[tuple[str, str], dict[str, bool]]


class OneTrialEach(Sandbox):
    """Remembers the trials of micro students: some wrong answers have the numbers of the right one."""

    def __init__(self) -> None:
        super().__init__()
        self._trials: dict[str | bytes, Run] = {}

    def run_job(self, job: Job, *beside: Job) -> Run:
        order = job.files.get("order.json")
        if order is None:
            return super().run_job(job, *beside)
        if order not in self._trials:
            self._trials[order] = super().run_job(job)
        return self._trials[order]


def text_of(task: EngineeringTask, answer: str) -> str:
    return task.reference if answer == REFERENCE else task.wrong[int(answer) - 1].answer


@pytest.fixture(scope="module")
def judged(sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[Judged]:
    """(name, answer) -> the rungs."""
    remembering = OneTrialEach()

    def judge(pair: tuple[str, str]) -> dict[str, bool]:
        name, answer = pair
        return TASKS[name].judge(text_of(TASKS[name], answer), remembering)

    with Ahead(asked(request, "name", "answer"), judge) as ahead:
        yield ahead


@pytest.mark.parametrize(("name", "answer"), ANSWERS, ids=["-".join(pair) for pair in ANSWERS])
def test_an_answer_gets_what_it_deserves(judged: Judged, name: str, answer: str) -> None:
    lost = {rung for rung, climbed in judged[name, answer].items() if not climbed}
    assert lost == (set() if answer == REFERENCE else set(TASKS[name].wrong[int(answer) - 1].loses))


def test_every_rung_of_every_kind_is_lost_by_two_wrong_answers() -> None:
    kinds = {task.kind: type(task) for task in TASKS.values()}
    for kind, task_type in kinds.items():
        lost = [rung for task in TASKS.values() if task.kind == kind for wrong in task.wrong for rung in wrong.loses]
        assert all(lost.count(rung) >= 2 for rung in task_type.rungs), kind
