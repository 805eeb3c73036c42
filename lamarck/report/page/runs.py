"""What each run took: training curves, and device-seconds and dollars against the approved ceiling. Light."""

from collections.abc import Mapping, Sequence
from typing import Literal

from lamarck.budget.machine import Catalogue, dollars_per_device_hour, load_catalogue
from lamarck.config import Config, StageMachine
from lamarck.errors import LamarckError
from lamarck.gate.plan import read_plan
from lamarck.lineage.artifacts import TRAINED
from lamarck.lineage.configured import config_of
from lamarck.lineage.contents import CrossingReport, TrainingReport, read_training
from lamarck.lineage.flags import cut_short
from lamarck.lineage.generation import TRAINING_RECORD
from lamarck.report.page import Shown
from lamarck.report.page.members import ShownMember

Point = tuple[int, float, float, float | None, int | None]


class Training(Shown):
    """`curve`: rows of (step, loss in nats, learning rate, tokens a second, bytes); the last two are None in records
    from before they were written down by step."""

    generation: str
    curve: list[Point]
    steps: int
    examples: int
    tokens: int
    tokens_per_second: float
    peak_memory_bytes: int | None  # None in records from before it was written down
    used_device_seconds: float
    ceiling_device_seconds: float
    cut_short: str | None  # why it did not come to its last step
    dollars_per_hour: float | None  # of a device, in its plan; None where that has no price

    def dollars(self, device_seconds: float) -> float:
        return device_seconds / 3600 * (self.dollars_per_hour or 0.0)


class ShownCost(Shown):
    """Device-seconds of one step of one generation, as its record states them, and on what device. `dollars`: at the
    price of an hour of it, in the plan of a training and in the configuration of the rest; None where it has none."""

    generation: str
    stage: str
    device: str
    device_seconds: float
    wall_seconds: float
    dollars: float | None


Part = Literal["writing", "training", "evaluating", "other"]
PARTS: tuple[Part, ...] = ("writing", "training", "evaluating", "other")


class ShownSpent(Shown):
    """What a generation took: device-seconds by part, from its curriculum to its scores. `dollars`: None where no part
    of it has a price."""

    generation: str
    seconds: dict[Part, float]
    dollars: float | None

    @property
    def all_seconds(self) -> float:
        return sum(self.seconds.values())


STAGES = {
    "weights": "founder",
    "student": "student",
    "founder_check": "founder's check",
    "curriculum": "curriculum",
    "scores": "evaluation",
    "crossed": "crossing",
} | dict.fromkeys((kind.name for kind in TRAINED), "training")


def find_trainings(members: Sequence[ShownMember]) -> tuple[dict[str, Training], dict[str, str]]:
    """Name -> training of every child that was trained, and name -> why its record cannot be read."""
    found: dict[str, Training] = {}
    broken: dict[str, str] = {}
    for member in members:
        path = member.generation.change / TRAINING_RECORD
        if not member.number or member.generation.is_crossed or not path.exists():
            continue
        try:
            training = read_training(path)
        except LamarckError as error:
            broken[member.name] = str(error)
            continue
        if not isinstance(training, CrossingReport):
            found[member.name] = _training(member, training)
    return found, broken


def _training(member: ShownMember, content: TrainingReport) -> Training:
    return Training(
        generation=member.name,
        curve=_curve(content),
        steps=content.steps,
        examples=content.examples,
        tokens=content.tokens,
        tokens_per_second=content.tokens_per_second,
        peak_memory_bytes=content.peak_memory_bytes,
        used_device_seconds=content.budget.used_device_seconds,
        ceiling_device_seconds=content.budget.ceiling_device_seconds,
        cut_short=cut_short(content),
        dollars_per_hour=_price(member),
    )


def _curve(content: TrainingReport) -> list[Point]:
    return [
        (row.step, round(row.loss, 4), float(f"{row.learning_rate:.3g}"), row.tokens_per_second, row.memory_bytes)
        for row in content.log
    ]


def _price(member: ShownMember) -> float | None:
    try:
        return read_plan(member.generation.plan).cost.machine.dollars_per_hour
    except LamarckError:
        return None  # what is wrong with the plan stands with its gate


def find_costs(config: Config, members: Sequence[ShownMember], trainings: Mapping[str, Training]) -> list[ShownCost]:
    """One row for every record; a training's has what all its attempts took."""
    catalogue = load_catalogue()
    found = []
    for member in members:
        machines = config_of(config, member.lane).machines
        prices = {
            "curriculum": _price_of(catalogue, machines.curriculum),
            "evaluation": _price_of(catalogue, machines.eval),
        }
        for piece in member.pieces:
            if piece.record is None:
                continue
            stage, seconds = STAGES.get(piece.kind, piece.kind), piece.record.device_seconds
            price = None if "cpu" in piece.record.device else prices.get(stage)
            if stage == "training" and (training := trainings.get(member.name)):
                seconds, price = training.used_device_seconds, training.dollars_per_hour
            found.append(
                ShownCost(
                    generation=member.name,
                    stage=stage,
                    device=piece.record.device,
                    device_seconds=seconds,
                    wall_seconds=piece.record.wall_seconds,
                    dollars=None if price is None else seconds / 3600 * price,
                )
            )
    return found


def _price_of(catalogue: Catalogue, machine: StageMachine) -> float | None:
    """Of an hour of one device; None for this machine, and for a kind that the catalogue no longer has."""
    try:
        return dollars_per_device_hour(catalogue, machine) or None
    except LamarckError:
        return None


PART_OF: dict[str, Part] = {
    "curriculum": "writing",
    "training": "training",
    "crossing": "training",
    "evaluation": "evaluating",
}


def spent_by_generation(costs: Sequence[ShownCost]) -> list[ShownSpent]:
    """In the order of `costs`."""
    names = dict.fromkeys(cost.generation for cost in costs)
    return [spent(name, [cost for cost in costs if cost.generation == name]) for name in names]


def spent(name: str, costs: Sequence[ShownCost]) -> ShownSpent:
    seconds = dict.fromkeys(PARTS, 0.0)
    for cost in costs:
        seconds[PART_OF.get(cost.stage, "other")] += cost.device_seconds
    priced = [cost.dollars for cost in costs if cost.dollars is not None]
    return ShownSpent(generation=name, seconds=seconds, dollars=sum(priced) if priced else None)
