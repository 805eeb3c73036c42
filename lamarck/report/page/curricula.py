"""What each generation was taught: the numbers of its curriculum's card. Light."""

from collections.abc import Sequence

from lamarck.errors import LamarckError
from lamarck.lineage.contents import Card, read_card
from lamarck.report.page import Shown
from lamarck.report.page.members import ShownMember


class ShownCell(Shown):
    skill: str
    difficulty: int
    sampled: int
    verified: int
    pass_rate: float
    asked: int
    kept: int


class ShownCurriculum(Shown):
    generation: str
    teacher: str
    items: int
    sampled: int
    answered: int
    kept: int
    replayed: int
    anchors: int
    to_write: int
    acceptance: float
    contamination: int
    dropped: dict[str, int]
    cells: list[ShownCell]
    measures: dict[str, float]
    warnings: list[str]

    def origin(self) -> str:
        """What its teacher wrote, and what came of it."""
        answers = f" and {self.answered:,} further answers to its problems" if self.answered else ""
        return (
            f"{self.teacher} wrote {self.sampled:,} texts{answers}; {self.kept:,} problems with their answers "
            f"were kept, {100 * self.acceptance:.0f}% of all that."
        )

    def contents(self) -> str:
        """What stands beside its teacher's own problems; empty where nothing does."""
        parts = (
            (self.replayed, "replayed from earlier generations"),
            (self.anchors, "from the founder's own data"),
            (self.to_write, "of all these once more, to be learned as a teacher writes them"),
        )
        beside = [f"{count:,} {what}" for count, what in parts if count]
        return f"Its {self.items:,} items are these problems and {', '.join(beside)}." if beside else ""


def find_curricula(members: Sequence[ShownMember]) -> tuple[dict[str, ShownCurriculum], dict[str, str]]:
    """Name -> card of every curriculum there is, and name -> why a card cannot be read."""
    found: dict[str, ShownCurriculum] = {}
    broken: dict[str, str] = {}
    for member in members:
        card = member.generation.card
        if not member.number or not card.exists():
            continue
        try:
            found[member.name] = _shown(member.name, read_card(card))
        except LamarckError as error:
            broken[member.name] = str(error)
    return found, broken


def _shown(name: str, card: Card) -> ShownCurriculum:
    fields = ShownCurriculum.model_fields.keys() - {"generation", "teacher", "cells"}
    return ShownCurriculum(
        generation=name,
        teacher=card.parent,
        cells=[ShownCell(**{field: getattr(cell, field) for field in ShownCell.model_fields}) for cell in card.cells],
        **{field: getattr(card, field) for field in fields},
    )
