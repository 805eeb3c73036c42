"""Write a layer, a loss, an optimizer or a collator in plain torch.

The one rung, `passes`: the answer keeps the rules of plain code, and every hidden test of the task file passes against
it. The rules are decided by reading the code (plain_code.TORCH and the task's `forbids`), the tests by running them in
the sandbox. They share a process with the answer, so an answer that could look around there could also forge a pass:
this is why it may import little and name nothing that leads out of its module. What reading misses, the process itself
refuses (GUARD): the number used once, which says that all tests passed, cannot be read before they did.
"""

import secrets
from collections.abc import Set
from typing import ClassVar, Literal

from pydantic import Field

from lamarck.engine.answer import code_of
from lamarck.errors import Malformed
from lamarck.judging.outer_room import WITH_TORCH
from lamarck.judging.plain_code import GUARD, TORCH, plain_statements
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.tasks.base import EngineeringTask

LIMITS = Limits(seconds=40, output_bytes=256 * 2**10)
LONGEST_ANSWER = 100_000

# Prints the nonce only after the last test: an answer that exits early, or prints, never gets there.
CHECK = """
from pathlib import Path

from guard import lock

unlock = lock()
import hidden

tests = [value for name, value in vars(hidden).items() if name.startswith("test_")]
assert tests
for test in tests:
    test()
unlock()
print("\\n" + Path("/task/nonce").read_text())
"""


class CustomCode(EngineeringTask):
    """A module to be written, judged by unit tests that the prompt describes but does not show."""

    rungs: ClassVar[tuple[str, ...]] = ("passes",)

    kind: Literal["custom_code"]
    tests: str = Field(min_length=1, description="Python: functions test_*, which import from `solution`.")
    forbids: tuple[str, ...] = Field(
        (), description="Names that would do the work for the answer; the prompt says them."
    )

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        code = code_of(answer) if len(answer) <= LONGEST_ANSWER else ""
        return {"passes": is_plain(code, frozenset(self.forbids)) and self._passes(code, sandbox)}

    def _passes(self, code: str, sandbox: Sandbox) -> bool:
        nonce = secrets.token_hex(16)
        files = {"solution.py": code, "hidden.py": self.tests, "check.py": CHECK, "guard.py": GUARD, "nonce": nonce}
        run = sandbox.python(files, "check.py", LIMITS, imports=WITH_TORCH)
        return run.succeeded and nonce in run.stdout.splitlines()


def is_plain(code: str, forbids: Set[str] = frozenset()) -> bool:
    """Whether the code can be read, holds something, and keeps the rules."""
    try:
        return bool(plain_statements(code, TORCH, forbids=forbids))
    except Malformed:
        return False
