"""What allows a night of a ratchet: one answer, before its first experiment and before its agent is asked. Light.

The models of experiments lie in no lineage, unless as a founder that somebody names, so they need no approval each. A
subject that is a strategy raises lineages: this answer lets their trainings through the gate, too, within its space.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lamarck.gate.check import asked_of_ratchet, check_approval
from lamarck.gate.journal import Journal, journal_of
from lamarck.gate.night import RatchetPlan
from lamarck.gate.planned import plan_digest


@dataclass(frozen=True)
class Permit:
    """A night that a human allowed, and what of its ceiling is left. Made by `admitted` alone."""

    plan: RatchetPlan
    journal: Journal

    def fits(self, seconds: float) -> bool:
        """Whether an experiment that may take so many device-seconds still fits. Errors: those of the journal."""
        return self.journal.spent() + seconds <= self.plan.device_seconds

    @contextmanager
    def experiment(self) -> Iterator[None]:
        """Around one experiment: its seconds are written while they are spent. Errors: those of the journal."""
        with self.journal.attempt(1):
            yield


def admitted(plan: RatchetPlan, file: Path) -> Permit:
    """`plan` as it was just made anew: is it what a human approved? Errors: LamarckError that says why it is not."""
    check_approval(asked_of_ratchet(plan, file), plan.approval)
    journal = journal_of(plan.name, plan_digest(plan))
    journal.read()
    return Permit(plan, journal)
