"""Carries a curriculum out: a micro student learns, in the sandbox, to follow a small machine. Light.

A machine has states and symbols; each symbol sends each state to a state. A problem is a row of symbols, its answer the
state in which the machine ends. micro_student.py is the student.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from lamarck.config.section import Section
from lamarck.judging.outer_room import WITH_TORCH
from lamarck.judging.sandbox import Limits, Sandbox

STUDENT = Path(__file__).with_name("micro_student.py")
LIMITS = Limits(seconds=90)


class Machine(NamedTuple):
    moves: Sequence[Sequence[int]]  # moves[symbol][state] is the next state
    start: int


MACHINES = {
    # Digits 0 to 4: their sum modulo 5.
    "digit_sum": Machine([[(state + digit) % 5 for state in range(5)] for digit in range(5)], 0),
    # A ball starts under cup 0; symbol 0 swaps cups 0 and 1, symbol 1 cups 1 and 2, symbol 2 cups 0 and 2.
    "cups": Machine([[1, 0, 2], [0, 2, 1], [2, 1, 0]], 0),
    # A register modulo 5 starts at 1; symbol 0 adds 1, symbol 1 doubles, symbol 2 takes the negative.
    "register": Machine([[1, 2, 3, 4, 0], [0, 2, 4, 1, 3], [0, 4, 3, 2, 1]], 1),
}


class Lesson(Section):
    """What the student does in one stage."""

    counts: dict[int, int] = Field(description="Length of a problem -> how many there are.")
    epochs: float
    learning_rate: float
    batch_size: int


class Outcome(Section):
    """Shares of right answers to the test problems."""

    trained: float = Field(description="After the lessons, the median over the seeds.")
    untrained: float = Field(description="Before them, the median over the seeds.")
    guess: float = Field(description="Of the best answer that looks at the last symbol alone.")


def try_out(
    machine: Machine,
    lessons: Sequence[Lesson],
    sandbox: Sandbox,
    *,
    test_length: int,
    seeds: Sequence[int],
    hold_out: bool,
    limits: Limits = LIMITS,
) -> Outcome | None:
    """What the lessons make of the student, asked problems of `test_length`; None where they break its limits.
    `hold_out`: problems that are asked are taken out of the lessons."""
    order = {
        **machine._asdict(),
        "stages": [lesson.model_dump() for lesson in lessons],
        "test_length": test_length,
        "seeds": list(seeds),
        "hold_out": hold_out,
    }
    files = {"student.py": STUDENT.read_text(encoding="utf-8"), "order.json": json.dumps(order)}
    run = sandbox.python(files, "student.py", limits, imports=WITH_TORCH)
    # No code of a model's runs in there, so what is printed is the student's result and nothing else.
    return Outcome.model_validate_json(run.stdout) if run.succeeded else None
