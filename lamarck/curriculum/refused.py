"""What a curriculum left out, and why: examples of each reason in each cell, with the number that there were. Light."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lamarck.errors import LamarckError
from lamarck.files import write_jsonl
from lamarck.lineage.contents import read_rows
from lamarck.lineage.generation import Generation

EXAMPLES = 3  # of a reason in a cell
LONGEST = 4000  # characters of a text that are kept
OF_REFUSED = "of a curriculum that was refused as a whole"


class RejectedLine(BaseModel):
    """A line of curriculum.rejected.jsonl."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str
    skill: str
    difficulty: int
    number: int = Field(ge=1, description="Texts of this cell that were left out for this reason.")
    why: str = Field(description="What was wrong with this one; empty where the reason says it all.")
    text: str


@dataclass(frozen=True)
class Reason:
    """All that was left out for one reason, with examples from different cells first."""

    name: str
    number: int
    examples: list[RejectedLine]


@dataclass
class Refusals:
    """(reason, skill, difficulty) -> the first texts, as (why, text)."""

    examples: dict[tuple[str, str, int], list[tuple[str, str]]] = field(default_factory=dict)
    numbers: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def add(self, reason: str, skill: str, difficulty: int, why: str, text: str) -> None:
        place = (reason, skill, difficulty)
        self.numbers[place] += 1
        kept = self.examples.setdefault(place, [])
        if len(kept) < EXAMPLES:
            kept.append((why, text[:LONGEST]))

    def rows(self) -> Iterator[RejectedLine]:
        for (reason, skill, difficulty), kept in self.examples.items():
            number = self.numbers[reason, skill, difficulty]
            for why, text in kept:
                yield RejectedLine(reason=reason, skill=skill, difficulty=difficulty, number=number, why=why, text=text)


def refused_path(curriculum: Path) -> Path:
    """Beside the curriculum, which may not be there: a teacher that wrote too little has only this to show."""
    return curriculum.with_suffix(".rejected.jsonl")


def write_refused(path: Path, rows: Iterable[RejectedLine]) -> None:
    write_jsonl(path, (row.model_dump(mode="json") for row in rows))


def read_refused(generation: Generation) -> list[RejectedLine]:
    """Errors: LamarckError where there is no such file, or a line that was not written here."""
    path = refused_path(generation.curriculum)
    if not path.exists():
        raise LamarckError(f"{path} is not there: {generation.name} has no curriculum that left anything out yet")
    return read_rows(RejectedLine, path, f"is not a refused text: delete {path}")


def reasons(rows: Iterable[RejectedLine]) -> list[Reason]:
    """By number, the most frequent first."""
    by_reason: dict[str, dict[tuple[str, int], list[RejectedLine]]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, {}).setdefault((row.skill, row.difficulty), []).append(row)
    found = []
    for name, cells in by_reason.items():
        # The cell with most of them first, and one of each cell before a second of any.
        ordered = sorted(cells.values(), key=lambda kept: -kept[0].number)
        turns = [kept[turn] for turn in range(EXAMPLES) for kept in ordered if turn < len(kept)]
        found.append(Reason(name, sum(kept[0].number for kept in ordered), turns))
    return sorted(found, key=lambda reason: (-reason.number, reason.name))
