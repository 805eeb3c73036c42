"""What a control arm is trained on: its teacher's problems and answers as they come, none of them verified."""

from collections import Counter

from lamarck.curriculum.cell import Cell, most_samples, wants_more
from lamarck.curriculum.further_answers import CandidateAnswer, Chosen
from lamarck.curriculum.item import ItemVerdict
from lamarck.curriculum.propose import CurriculumInMaking, Draft, WrittenText
from lamarck.errors import Malformed

UNVERIFIED = "none"


class ControlCurriculum(CurriculumInMaking):
    """One in the making: only what could not be trained on at all is left out."""

    def unverified(self, wanted: Counter[tuple[str, int]]) -> list[Cell]:
        """As many items per cell as `wanted`. What is left out is no problem, or without an answer, or a repeat, or
        held out."""
        self.cells = [cell for cell in self.cells if wanted[cell.skill.name, cell.difficulty]]
        for cell in self.cells:
            cell.wanted = cell.sought = wanted[cell.skill.name, cell.difficulty]
            cell.try_at_most(self.strategy.probe_samples + most_samples(cell.wanted, self.strategy))
        round_number = 0
        while asked := [cell for cell in self.cells if wants_more(cell)]:
            for text in self._write(asked, round_number):
                self._take(text)
            drafts = self._given(asked)
            self._answer(drafts, self.strategy.answers.temperatures[0] if drafts else 0.0, f"{round_number}.1")
            for draft in drafts:
                self._take_answer(draft)
            round_number += 1
        return self._trimmed()

    def _take(self, text: WrittenText) -> None:
        """Instead of reading and judging."""
        cell = text.cell
        try:
            problem = cell.skill.parse(text.asked, text.written)
        except Malformed as error:
            self._refuse(cell, "malformed", error, text.written)
            return
        if self._enters(problem.prompt, text):
            verdict = ItemVerdict(verified=False, by=UNVERIFIED, score=0.0)
            self._keep(cell, Chosen(CandidateAnswer(problem, text.reasoning, "write"), verdict))

    def _take_answer(self, draft: Draft) -> None:
        """The same for a problem that was given."""
        if not draft.candidates:
            self._refuse(draft.asked, "malformed", "no answer", draft.prompt)
        elif self._enters(draft.prompt, draft.text):
            verdict = ItemVerdict(verified=False, by=UNVERIFIED, score=0.0)
            self._keep(draft.home, Chosen(draft.candidates[0], verdict))
