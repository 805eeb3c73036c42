"""Write a layer, a loss, an optimizer or a collator in plain torch.

The one rung, `passes`: every hidden test of the task's examination holds for the answer. The answer runs in a room of
its own, the examination in another (lamarck/judging/examination.py); what the answer's room says is plain data.

A task's `forbids` are names that would do its work. Whether they are used is read in the text: it can only take the
rung away, never give it.
"""

from collections.abc import Set
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from lamarck.engine.answer import code_of
from lamarck.errors import Malformed
from lamarck.judging.examination import examine
from lamarck.judging.plain_code import TORCH, names_in, plain_statements
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.examinations import shipped

LIMITS = Limits(seconds=40, output_bytes=256 * 2**10)
LONGEST_ANSWER = 100_000
GROUPS = (("passes", "test_"),)


class CustomCode(EngineeringTask):
    """A module to be written, judged by unit tests that the prompt describes but does not show."""

    rungs: ClassVar[tuple[str, ...]] = ("passes",)

    kind: Literal["custom_code"]
    examination: str = Field("", description="Python: functions test_*, which ask the answer's room (examiner.py).")
    tests: str = Field("", description="Of tasks frozen before there were two rooms: what a shipped examination tests.")
    forbids: tuple[str, ...] = Field(
        (), description="Names that would do the work for the answer; the prompt says them."
    )

    @model_validator(mode="after")
    def _examined(self) -> "CustomCode":
        if not self.examination:
            shipped(self.name, self.tests)
        return self

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        code = code_of(answer) if len(answer) <= LONGEST_ANSWER else ""
        if not code.strip() or names_in(code) & set(self.forbids):
            return {"passes": False}
        examination = self.examination or shipped(self.name, self.tests)
        return {"passes": "passes" in examine(sandbox, code, examination, GROUPS, LIMITS).held}


def is_plain(code: str, forbids: Set[str] = frozenset()) -> bool:
    """Whether the code can be read, holds something, and keeps the rules."""
    try:
        return bool(plain_statements(code, TORCH, forbids=forbids))
    except Malformed:
        return False
