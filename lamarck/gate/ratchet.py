"""The plan of a ratchet's night: experiments on one subject, which one human's answer covers, with one ceiling. Light.

These experiments train models that are no generation: they lie in no lineage, unless as a founder that somebody names.
So they need no approval each; the night needs one, before its first experiment and before its agent is asked anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lamarck.files import read_regular
from lamarck.gate.check import Asked, check_approval
from lamarck.gate.journal import Journal, journal_of
from lamarck.gate.planned import Planned, parse_plan, plan_digest
from lamarck.lineage.generation import APPROVALS

RATCHETS = "ratchet"


class RatchetPlan(Planned):
    """What a human is asked. `machine`: its name and processor, for a baseline is of one
    machine. `config` is the path of the ratchet's file, `base` the commit that the night starts from;
    `file`, and `subject`, `evaluator` and `data` by their files' names, are digests. `agent`: its kind, and how it is
    called. `experiments`: proposals at most."""

    ratchet: str
    night: str
    machine: str
    config: str
    base: str
    file: str
    subject: dict[str, str]
    evaluator: dict[str, str]
    data: dict[str, str]
    run_command: str
    eval_command: str
    trust: str
    agent: str
    experiments: int
    device_seconds: float

    @property
    def name(self) -> str:
        return f"{RATCHETS}/{self.ratchet}.{self.night}"

    @property
    def approval(self) -> Path:
        return APPROVALS / f"{self.name}.ok"


def read_ratchet_plan(path: Path) -> RatchetPlan:
    """Read once. Errors: LamarckError for anything but a plan as it is written here."""
    refusal = f"{path} is not a ratchet's plan as `lamarck` writes it: restore it, or start another night"
    return parse_plan(RatchetPlan, read_regular(path), refusal)


def asked_of_ratchet(plan: RatchetPlan, file: Path) -> Asked:
    run = f"lamarck ratchet run {file}"
    return Asked(plan.name, plan_digest(plan), plan.device_seconds, f"lamarck ratchet status {plan.ratchet}", run)


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
