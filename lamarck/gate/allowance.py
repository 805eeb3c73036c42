"""What may be trained: nobody takes an optimizer step without an allowance, and allowances are made here alone. Light.

A child's comes from an approval that the gate admitted. Whatever is trained without one is listed below with its own
ceiling, in steps and parameters: seconds would make a score depend on the machine. A ratchet's experiments train models
that are no generation: in rooms, under the one approval and the one ceiling of their night (ratchet.py).
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lamarck.errors import LamarckError
from lamarck.gate.check import Admitted
from lamarck.gate.crossing import AdmittedCross
from lamarck.gate.evolution import AdmittedEvolution
from lamarck.gate.journal import Attempt, Journal, journal_of
from lamarck.gate.planned import plan_digest
from lamarck.gate.primer import AdmittedPrimer
from lamarck.lineage.generation import Generation


@dataclass(frozen=True)
class Excepted:
    """What is trained without an approval, and the most of it."""

    what: str
    steps: int
    parameters: int


FOUNDER = Excepted("a model that is pretrained here, a tiny founder or a suite's student", 100_000, 5_000_000)
STUDENT = Excepted("a suite's student, which every generation teaches", 10_000, 100_000_000)
# Files, and a folder, that are run alone in the sandbox, where they cannot import this, and which ends them after its
# seconds.
IN_SANDBOX = (
    "lamarck/judging/micro_student.py",  # carries a curriculum design out
    "lamarck/skills/repair_trial.py",  # makes torch import what an optimizer needs, on one number
    "lamarck/suites/tasks/training_check.py",  # trains as the task says, to compare what the examined script made
    "lamarck/suites/tasks/examinations/",  # on a few numbers each
)


@dataclass(frozen=True)
class Spending:
    """An attempt at work, as one of its processes sees it."""

    processes: int
    started: float
    attempt: Attempt | None

    def spent(self) -> float:
        """Device-seconds of all attempts until now. Errors: LamarckError where they cannot be written down."""
        return self.attempt.spent() if self.attempt else self.processes * (time.perf_counter() - self.started)

    @property
    def before(self) -> float:
        """Device-seconds of the attempts before this one."""
        return self.attempt.before if self.attempt else 0.0

    @property
    def attempts(self) -> int:
        return self.attempt.number if self.attempt else 1


@dataclass(frozen=True)
class Allowance:
    """What one run may spend, over all of its attempts; no step is taken outside `spending`, nor when it is spent."""

    name: str
    device_seconds: float
    journal: Journal | None = None

    @contextmanager
    def spending(self, processes: int, leads: bool) -> Iterator["Spending"]:
        """Around all steps of a run of so many processes. The one that leads them keeps the journal, if there is one.

        Errors: LamarckError where the journal is refused, or cannot be written.
        """
        if self.journal is None or not leads:
            yield Spending(processes, time.perf_counter(), None)
            return
        with self.journal.attempt(processes) as attempt:
            yield Spending(processes, time.perf_counter(), attempt)

    def exhausted(self, attempts: int) -> LamarckError:
        return LamarckError(
            f"the {self.device_seconds:g} device-seconds approved for {self.name} are spent, by {attempts - 1} "
            "attempts that left no checkpoint: set another `budget.device_seconds` or a lower "
            "`recipe.checkpoint_every`, run snakemake for a new plan, and approve that"
        )


def approved(admitted: Admitted | AdmittedPrimer | AdmittedCross, child: Generation) -> Allowance:
    """What the gate admitted. Errors: LamarckError where the journal of what is spent already is refused."""
    journal = journal_of(child.name, plan_digest(admitted.plan))
    journal.read()
    return Allowance(child.name, admitted.plan.budget.device_seconds, journal)


def evolving(admitted: AdmittedEvolution) -> Allowance:
    """What the gate admitted for all candidates of an evolution together. Errors: as `approved`."""
    journal = journal_of(admitted.plan.name, plan_digest(admitted.plan))
    journal.read()
    return Allowance(admitted.plan.name, admitted.plan.device_seconds, journal)


def excepted(what: Excepted, steps: int, parameters: int) -> Allowance:
    """What needs no approval. Errors: LamarckError where so many steps or trained parameters are more than that."""
    if steps > what.steps or parameters > what.parameters:
        raise LamarckError(
            f"{steps:,} steps of {parameters:,} parameters are more than {what.what} gets without an approval "
            f"({what.steps:,} and {what.parameters:,}): make it smaller, or name a finished model instead"
        )
    return Allowance(what.what, math.inf)
