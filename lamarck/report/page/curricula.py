"""What each generation was taught: the numbers of its curriculum's card. Light."""

from collections.abc import Sequence
from typing import Any

from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.report.page.members import Member
from lamarck.report.page.shown import Shown


class Cell(Shown):
    skill: str
    difficulty: int
    sampled: int
    pass_rate: float
    asked: int
    kept: int


class Curriculum(Shown):
    generation: str
    teacher: str
    items: int
    sampled: int
    kept: int
    replayed: int
    acceptance: float
    contamination: int
    dropped: dict[str, int]
    cells: list[Cell]
    measures: dict[str, float]
    warnings: list[str]


def find_curricula(members: Sequence[Member]) -> tuple[dict[str, Curriculum], dict[str, str]]:
    """Name -> card of every curriculum there is, and name -> why a card cannot be read."""
    found: dict[str, Curriculum] = {}
    broken: dict[str, str] = {}
    for member in members:
        card = member.generation.card
        if not member.number or not card.exists():
            continue
        try:
            found[member.name] = read_card(member.name, read_json(card))
        except (LamarckError, KeyError, TypeError, ValueError) as error:
            broken[member.name] = f"{card} cannot be read: {error}"
    return found, broken


def read_card(name: str, card: dict[str, Any]) -> Curriculum:
    """Errors: KeyError, TypeError, ValueError where it is no card."""
    fields = ("items", "sampled", "kept", "replayed", "acceptance", "contamination", "dropped", "measures", "warnings")
    return Curriculum(
        generation=name,
        teacher=card["parent"],
        cells=[Cell(**{field: cell[field] for field in Cell.model_fields}) for cell in card["cells"]],
        **{field: card[field] for field in fields},
    )
