"""What each run took: training curves, and device-seconds against the approved ceiling. Light."""

from collections.abc import Sequence
from typing import Any

from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.lineage import ADAPTER_RECORD
from lamarck.report.page.members import Member
from lamarck.report.page.shown import Shown


class Training(Shown):
    """`curve`: rows of (step, loss in nats, learning rate)."""

    generation: str
    curve: list[tuple[int, float, float]]
    steps: int
    examples: int
    tokens: int
    tokens_per_second: float
    peak_memory_bytes: int | None  # None in records from before it was written down
    used_device_seconds: float
    ceiling_device_seconds: float
    stopped_by: str


class Cost(Shown):
    """Device-seconds of one step of one generation, as its record states them, and on what device."""

    generation: str
    stage: str
    device: str
    device_seconds: float
    wall_seconds: float


STAGES = {
    "weights": "founder",
    "student": "student",
    "curriculum": "curriculum",
    "adapter": "training",
    "scores": "evaluation",
}


def find_trainings(members: Sequence[Member]) -> tuple[dict[str, Training], dict[str, str]]:
    """Name -> training of every child that was trained, and name -> why its record cannot be read."""
    found: dict[str, Training] = {}
    broken: dict[str, str] = {}
    for member in members:
        path = member.generation.adapter / ADAPTER_RECORD
        if not member.number or not path.exists():
            continue
        try:
            found[member.name] = _training(member.name, read_json(path))
        except (LamarckError, KeyError, TypeError, ValueError) as error:
            broken[member.name] = f"{path} cannot be read: {error}"
    return found, broken


def _training(name: str, content: dict[str, Any]) -> Training:
    budget = content["budget"]
    return Training(
        generation=name,
        curve=[(step, round(loss, 4), float(f"{rate:.3g}")) for step, loss, rate in content["losses"]],
        steps=content["steps"],
        examples=content["examples"],
        tokens=content["tokens"],
        tokens_per_second=content["tokens_per_second"],
        peak_memory_bytes=content.get("peak_memory_bytes"),
        used_device_seconds=budget["used_device_seconds"],
        ceiling_device_seconds=budget["ceiling_device_seconds"],
        stopped_by=budget["stopped_by"],
    )


def find_costs(members: Sequence[Member]) -> list[Cost]:
    """One row for every record."""
    return [
        Cost(
            generation=member.name,
            stage=STAGES[piece.kind],
            device=piece.record.device,
            device_seconds=piece.record.device_seconds,
            wall_seconds=piece.record.wall_seconds,
        )
        for member in members
        for piece in member.pieces
        if piece.record is not None
    ]
