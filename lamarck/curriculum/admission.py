"""Whether a problem may enter a curriculum: repeats, worked examples, copies of a suite's problems and near duplicates
are refused here."""

from collections.abc import Iterable
from typing import NamedTuple

from lamarck.curriculum.cell import Cell
from lamarck.curriculum.near_duplicates import Near
from lamarck.curriculum.suite_overlap import Contamination, Overlap
from lamarck.errors import Malformed
from lamarck.skills import Problem


class LeftOut(NamedTuple):
    """`reason` is what is counted, `why` is for a person to read."""

    reason: str
    why: str


class Admission:
    """The problems of one curriculum, and what may not be among them."""

    def __init__(self, contamination: Contamination, drop_near_duplicates: bool, earlier: Iterable[str]) -> None:
        """`earlier`: prompts of the curricula before, which near duplicates are looked for in as well."""
        self._contamination = contamination
        self._entered: set[str] = set()
        self._near = Near() if drop_near_duplicates else None
        if self._near is not None:
            for prompt in earlier:
                self._near.add(prompt)

    def admit(self, cell: Cell, prompt: str, shown: tuple[Problem, ...]) -> LeftOut | None:
        """Take the problem of a text in, or say why it is refused. `cell`: whose text it was; `shown`: the worked
        examples of its request."""
        if prompt in self._entered:
            return LeftOut("duplicate", "")
        if _repeats(cell, prompt, shown):
            return LeftOut("a worked example", "it was shown in its request")
        if overlap := self.overlap(cell, prompt):
            return LeftOut("in the suite", f"{overlap.share:.0%} of it is a held-out problem's")
        if self._near is not None:
            if self._near.matches(prompt):
                return LeftOut("near duplicate", "")
            self._near.add(prompt)
        self._entered.add(prompt)
        return None

    def overlap(self, cell: Cell, prompt: str) -> Overlap | None:
        """With a held-out problem, where it is so large that the problem may not enter."""
        if cell.own:
            return self._contamination.copied_anywhere(prompt)
        return self._contamination.copied(cell.skill.name, prompt)


def _repeats(cell: Cell, prompt: str, shown: tuple[Problem, ...]) -> bool:
    """Whether a problem is one of those shown, whatever its white space or order."""
    try:
        return bool(shown) and cell.skill.what_varies(prompt) in [cell.skill.what_varies(each.prompt) for each in shown]
    except Malformed:  # no problem of the skill, which the control arm may keep
        return False
