"""What a generation may spend on what it does: on the curriculum that it writes, and on being evaluated. Light.

Device-seconds are wall seconds times devices, loading left out. Those of all attempts add up, in a journal of their own
(`lamarck.gate.journal`). The ceiling of whoever was trained under a plan is the plan's; the founder's, before whose
first curriculum there is nothing that a human could have approved, is the configuration's.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lamarck.config import Budget, Config
from lamarck.errors import LamarckError
from lamarck.files import digest_value
from lamarck.gate.journal import Journal, spent_directory
from lamarck.gate.parents_ceiling import PlannedBudget
from lamarck.gate.plan import read_childs_plan
from lamarck.lineage.generation import Generation

Stage = Literal["writing_seconds", "evaluating_seconds"]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Ceiling:
    """Of making `what`; `seconds`: None is no ceiling. `setting` names it in the configuration."""

    what: str
    seconds: float | None
    journal: Journal
    setting: Stage

    @contextmanager
    def held(self, devices: int, advance: Advance) -> Iterator[Advance]:
        """Around the work: yields `advance`, which ends the work as soon as everything is spent.

        Errors: LamarckError then, and where the journal is refused or cannot be written.
        """
        if self.seconds is None:
            yield advance
            return
        most = self.seconds
        if self.journal.spent() >= most:
            raise self._spent()
        with self.journal.attempt(devices) as attempt:

            def go_on(count: int) -> None:
                advance(count)
                if attempt.spent() >= most:
                    raise self._spent()

            yield go_on

    def _spent(self) -> LamarckError:
        return LamarckError(
            f"the {self.seconds:g} device-seconds for {self.what} are spent: raise `budget.{self.setting}` in the "
            "configuration, run snakemake for a new plan, and approve that; nothing is trained again for it"
        )


def writing_ceiling(config: Config, child: Generation, plan: Path | None, inputs: Mapping[str, str]) -> Ceiling:
    """Of the curriculum of `child`, which its parent writes. `plan`: the parent's own; a founder has none.

    `inputs`: the digests of what decides the curriculum: with others, another one is written.

    Errors: LamarckError where the plan is missing, or another generation's.
    """
    what = f"writing the curriculum of {child.name}"
    return _ceiling("writing_seconds", config, child.parent, plan, what, f"{child.name}.curriculum", inputs)


def evaluating_ceiling(
    config: Config, generation: Generation, plan: Path | None, suite: str, inputs: Mapping[str, str]
) -> Ceiling:
    """Of evaluating `generation` on the suite, or the exam, of that name. As `writing_ceiling` otherwise."""
    what = f"evaluating {generation.name} on {suite}"
    return _ceiling("evaluating_seconds", config, generation, plan, what, f"{generation.name}.{suite}", inputs)


def _ceiling(
    setting: Stage, config: Config, doer: Generation, plan: Path | None, what: str, made: str, inputs: Mapping[str, str]
) -> Ceiling:
    """`made`: a name for what is made, of which `inputs` decide the rest."""
    budget = _budget(config, doer, plan)
    seconds: float | None = getattr(budget, setting)
    return Ceiling(what, seconds, Journal(spent_directory(made) / f"{digest_value(dict(inputs))}.jsonl"), setting)


def _budget(config: Config, doer: Generation, plan: Path | None) -> Budget | PlannedBudget:
    if not doer.number:
        return config.budget
    if plan is None:
        raise LamarckError(f"what {doer.name} may spend stands in its plan: give --plan {doer.plan}")
    approved = read_childs_plan(plan)
    if approved.generation != doer.planned_by.name:
        raise LamarckError(f"{plan} is the plan of {approved.generation}, not of {doer.planned_by.name}")
    return approved.budget
