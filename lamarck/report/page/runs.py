"""What each run took: training curves, and device-seconds and dollars against the approved ceiling. Light."""

from collections.abc import Sequence

from lamarck.errors import LamarckError
from lamarck.gate.plan import Plan, read_plan
from lamarck.lineage.artifacts import TRAINED
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
    """Device-seconds of one step of one generation, as its record states them, and on what device."""

    generation: str
    stage: str
    device: str
    device_seconds: float
    wall_seconds: float


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


def dollars_per_hour(plan: Plan) -> float | None:
    """What a plan takes for an hour of a device; None where its machine costs nothing, or was not estimated."""
    machine = plan.cost.machine
    return machine.dollars / machine.device_hours if machine.dollars and machine.device_hours else None


def _price(member: ShownMember) -> float | None:
    try:
        return dollars_per_hour(read_plan(member.generation.plan))
    except LamarckError:
        return None  # what is wrong with the plan stands with its gate


def find_costs(members: Sequence[ShownMember]) -> list[ShownCost]:
    """One row for every record."""
    return [
        ShownCost(
            generation=member.name,
            stage=STAGES.get(piece.kind, piece.kind),
            device=piece.record.device,
            device_seconds=piece.record.device_seconds,
            wall_seconds=piece.record.wall_seconds,
        )
        for member in members
        for piece in member.pieces
        if piece.record is not None
    ]
