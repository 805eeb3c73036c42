"""No generation may have more than its parent: what a child may spend, as planned and at the gate again. Light."""

import math
from collections.abc import Sequence

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.gate.planned import PlanPart
from lamarck.lineage.digest import NOT_OF_TRAINING
from lamarck.lineage.generation import Generation


class PlannedBudget(PlanPart):
    """Device-seconds of training, where the trainer stops; dollars of the run that trains, where a rented pod ends.

    Then device-seconds of what the child does: of the curriculum that it writes, and of its evaluation, where those
    end. None: no ceiling. No child may have more than its parent.

    The last two can be raised, and approved again, without training again: `lamarck.lineage.digest.training_digest`.
    """

    device_seconds: float
    parent_device_seconds: float | None
    dollars: float | None
    writing_seconds: float | None = None
    evaluating_seconds: float | None = None


def planned_budget(config: Config, generation: Generation, parents: PlannedBudget | None) -> PlannedBudget:
    """What the configuration lets a child have. `parents`: what its parent had; None for a founder's children.

    Errors: LamarckError where any of it is more than the parent's, and for a budget that is no positive number.
    """
    asked = config.budget.of(generation.number)
    # Not a number is neither more nor less than anything: it would pass every comparison below.
    if not (math.isfinite(asked) and asked > 0):
        raise LamarckError(f"{generation.name} asks for {asked:g} device-seconds: `budget` must be a positive number")
    allowed = parents.device_seconds if parents else None
    if allowed is not None and asked > allowed:
        raise LamarckError(
            f"{generation.name} asks for {asked:g} device-seconds, more than the {allowed:g} of its parent: "
            "no generation may have more than its parent; lower `budget` in the configuration"
        )
    given: dict[str, float | None] = {name: getattr(config.budget, name) for name in ("dollars", *NOT_OF_TRAINING)}
    for name, own in given.items():
        most = getattr(parents, name) if parents else None
        if most is not None and (own is None or own > most):
            raise LamarckError(
                f"{generation.name} has {'no ceiling' if own is None else f'a ceiling of {own:g}'} in `budget.{name}`, "
                f"its parent {most:g}: no generation may have more than its parent; lower it in the configuration"
            )
    return PlannedBudget(device_seconds=asked, parent_device_seconds=allowed, **given)


def lesser_budget(parents: Sequence[PlannedBudget]) -> PlannedBudget:
    """What a child of several parents may spend: of each ceiling the lesser; where only one parent has one, that."""
    least = {
        name: min((given for each in parents if (given := getattr(each, name)) is not None), default=None)
        for name in ("dollars", *NOT_OF_TRAINING)
    }
    seconds = min(each.device_seconds for each in parents)
    return PlannedBudget(device_seconds=seconds, parent_device_seconds=seconds, **least)
