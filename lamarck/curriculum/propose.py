"""The teacher at work: it writes problem and answer, a verifier judges, what holds is kept, the rest is counted."""

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock

from lamarck.config.strategy import Strategy
from lamarck.curriculum.admission import Admission
from lamarck.curriculum.cell import Cell, allot, longest, next_texts, open_cells, wants_more
from lamarck.curriculum.further_answers import CandidateAnswer, Chosen, choose
from lamarck.curriculum.item import Item, Teacher, item_id
from lamarck.curriculum.refused import Refusals
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.engine import Engine
from lamarck.engine.answer import reasoning_and_answer
from lamarck.errors import LamarckError
from lamarck.seeds import seed_for
from lamarck.skills import Malformed, Problem, Verdict

TRIES = 20  # draws for each worked example, of which a suite may hold some
MOST_JUDGES = 16  # each may hold a sandboxed program with a gigabyte of memory


@dataclass(frozen=True)
class Author:
    """Who writes, under which strategy: the provenance of every item."""

    teacher: Teacher
    strategy_digest: str


@dataclass(frozen=True)
class WrittenText:
    """What a teacher wrote when it was asked for a problem of `cell`."""

    cell: Cell
    asked: str
    written: str
    reasoning: str
    shown: tuple[Problem, ...] = ()  # the worked examples of its request


@dataclass
class Draft:
    """A sound problem with the answers to it so far."""

    text: WrittenText
    home: Cell  # whose problem it is
    prompt: str
    candidates: list[CandidateAnswer]
    why: str = "no answer is what the others say"  # it was left out, where it is: a judge's last words

    @property
    def asked(self) -> Cell:
        """Whose text it was."""
        return self.text.cell


class CurriculumInMaking:
    """One curriculum in the making: the cells, and every problem there is already."""

    def __init__(
        self,
        engine: Engine,
        strategy: Strategy,
        author: Author,
        contamination: Contamination,
        seed: int,
        on_samples: Callable[[int], None],
        earlier: list[str] | None = None,
    ) -> None:
        """`earlier`: prompts of the curricula before, which near duplicates are looked for in as well.

        Errors: LamarckError where a context of the strategy holds a problem that is kept out."""
        self.engine = engine
        for name, part in strategy.skills.items():
            if any(contamination.copied_anywhere(line) for line in part.context.splitlines()):
                raise LamarckError(f"skills.{name}.context: a line overlaps the frozen suite: write another")
        self.strategy = strategy
        self.prompts = strategy.wording()
        self.author = author
        self.seed = seed
        self.on_samples = on_samples
        self.cells = open_cells(strategy)
        self.refused = Refusals()
        self._counting = Lock()
        self.admission = Admission(contamination, strategy.drop_near_duplicates, earlier or [])

    def verified(self) -> list[Cell]:
        """Probe every cell, then go on where there is something to gain.

        Returns the cells with the verified, distinct, uncontaminated items in the order in which they were written.
        """
        for cell in self.cells:
            # As if every cell were at the frontier: until the probe has shown where that is.
            cell.wanted = cell.sought = self.strategy.size
            cell.try_at_most(self.strategy.probe_samples)
        self._round(self.cells, 0)
        for cell in self.cells:
            cell.pass_rate = cell.verified / cell.sampled
        allot(self.cells, self.strategy)
        round_number = 0
        while asked := [cell for cell in self.cells if wants_more(cell)]:
            round_number += 1
            self._round(asked, round_number)
            allot(self.cells, self.strategy)
        if self.strategy.longest_of > 1:
            for cell in self.cells:
                cell.kept = longest(cell.kept, cell.wanted)
        return self._trimmed()

    def _trimmed(self) -> list[Cell]:
        for cell in self.cells:
            del cell.kept[cell.wanted :]
        return self.cells

    def _round(self, cells: list[Cell], number: int) -> None:
        """One batch of texts per cell, each judged and, where that holds, kept."""
        drafts = [draft for text in self._write(cells, number) if (draft := self._read(text))] + self._given(cells)
        how = self.strategy.answers.choose
        open_drafts = drafts
        for attempt, temperature in enumerate((None, *self.strategy.answers.temperatures)):
            if temperature is not None:
                self._answer(open_drafts, temperature, f"{number}.{attempt}")
            if how == "first":
                open_drafts = self._keep_what_holds(open_drafts)
        if how != "first":
            open_drafts = self._keep_what_holds(open_drafts)
        for draft in open_drafts:
            answers = "\n".join(candidate.problem.completion for candidate in draft.candidates)
            self._refuse(draft.asked, "wrong", draft.why, f"{draft.prompt}\n{answers}")

    def _refuse(self, cell: Cell, reason: str, why: object, text: str) -> None:
        """Count a text that is left out, and keep the first ones for a person to read."""
        cell.dropped[reason] += 1
        self.refused.add(reason, cell.skill.name, cell.difficulty, str(why), text)

    def _write(self, cells: list[Cell], number: int) -> list[WrittenText]:
        """As many texts per cell as it may need, a probe's worth at most, in one batch."""
        seed, rng = seed_for(self.seed, str(number)), random.Random(seed_for(self.seed, str(number), "topics"))
        writing = [cell for cell in cells if cell.given is None]
        asked = [cell for cell in writing for _ in range(next_texts(cell, self.strategy.probe_samples))]
        requests = [cell.skill.ask(cell.difficulty) for cell in asked]
        sampling = self.strategy.sampling
        drawing = random.Random(seed_for(self.seed, str(number), "examples"))
        shown = [self._examples(cell, drawing) for cell in asked]
        framed = [
            self.prompts.with_examples(request, [cell.skill.written(*_parts(each))[1] for each in examples])
            for cell, request, examples in zip(asked, requests, shown, strict=True)
        ]
        texts = self.engine.generate(
            [self.prompts.to_write(request, rng) for request in framed],
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            forms=[cell.skill.form(cell.difficulty) for cell in asked],
            on_done=self.on_samples,
        )
        for cell in asked:
            cell.sampled += 1
        split = (reasoning_and_answer(text) for text in texts)
        return [
            WrittenText(cell, request, answer, reasoning, examples)
            for cell, request, (reasoning, answer), examples in zip(asked, requests, split, shown, strict=True)
        ]

    def _given(self, cells: list[Cell]) -> list[Draft]:
        """The next problems that a teacher only answers, in the order of their file, still without an answer."""
        drafts = []
        for cell in cells:
            if cell.given is None:
                continue
            number = next_texts(cell, self.strategy.probe_samples)
            for prompt in cell.given[cell.sampled : cell.sampled + number]:
                drafts.append(Draft(WrittenText(cell, prompt, "", ""), cell, prompt, []))
            cell.sampled += number
        return drafts

    def _examples(self, cell: Cell, rng: random.Random) -> tuple[Problem, ...]:
        """As many problems as the strategy shows in a request, none of which a suite holds."""
        found: dict[str, Problem] = {}
        for _ in range(TRIES * self.strategy.examples):
            if len(found) == self.strategy.examples:
                break
            problem = cell.skill.sample(rng, cell.difficulty)
            if not self.admission.overlap(cell, problem.prompt):
                found[problem.prompt] = problem
        return tuple(found.values())

    def _read(self, text: WrittenText) -> Draft | None:
        """The sound problem in a text, filed under the difficulty that it has; None is counted.

        One that is there already is answered like all others: it says as much about the teacher.
        """
        cell = text.cell
        try:
            problem = cell.skill.parse(text.asked, text.written)
        except Malformed as error:
            self._refuse(cell, "malformed", error, text.written)
            return None
        try:
            problem, difficulty = cell.skill.filed(problem)
        except Malformed as error:
            self._refuse(cell, "unsound", error, text.written)
            return None
        home = next((each for each in self.cells if each.skill is cell.skill and each.difficulty == difficulty), None)
        if home is None:
            self._refuse(cell, "of a difficulty not asked for", f"it is of difficulty {difficulty}", text.written)
            return None
        return Draft(text, home, problem.prompt, [CandidateAnswer(problem, text.reasoning, "write")])

    def _enters(self, prompt: str, text: WrittenText) -> bool:
        """Whether the problem in a text may enter the curriculum, which it then does; no is counted."""
        left_out = self.admission.admit(text.cell, prompt, text.shown)
        if left_out:
            self._refuse(text.cell, left_out.reason, left_out.why, prompt)
        return left_out is None

    def _answer(self, drafts: list[Draft], temperature: float, name: str) -> None:
        """One further answer to every draft's problem."""
        if not drafts:
            return
        texts = self.engine.generate(
            [self.prompts.to_solve(draft.prompt) for draft in drafts],
            max_new_tokens=self.strategy.sampling.max_new_tokens,
            temperature=temperature,
            top_p=self.strategy.sampling.top_p,
            seed=seed_for(self.seed, name),
            on_done=self.on_samples,
        )
        for draft, text in zip(drafts, texts, strict=True):
            draft.asked.answered += 1
            reasoning, answer = reasoning_and_answer(text)
            if answer:
                draft.candidates.append(CandidateAnswer(Problem(draft.prompt, answer), reasoning, "solve"))

    def _chosen(self, draft: Draft) -> Chosen | None:
        """The answer to keep."""
        how = self.strategy.answers.choose
        # The first of them is sought one by one: those before the last have been refused already.
        candidates = draft.candidates[-1:] if how == "first" else draft.candidates
        return choose(draft.home.skill, candidates, how, partial(self._judge, draft))

    def _judge(self, draft: Draft, problem: Problem) -> Verdict:
        """A verifier that crashes over an answer refuses it, and the run goes on; a fault here ends the run."""
        cell = draft.home
        try:
            judgement = cell.skill.verify(problem)
            draft.why = judgement.reason
            return judgement
        except LamarckError:
            raise
        except Exception as error:
            with self._counting:
                cell.crashes += 1
            draft.why = f"the verifier crashed: {error}"
            return Verdict(False, draft.why)

    def _keep_what_holds(self, drafts: list[Draft]) -> list[Draft]:
        """Keep what is new of the drafts of which an answer holds; returned are those of which none does.

        Judged side by side: what takes long are programs in the sandbox."""
        with ThreadPoolExecutor(min(MOST_JUDGES, len(os.sched_getaffinity(0)))) as judges:
            chosen = list(judges.map(self._chosen, drafts))
        for draft, best in zip(drafts, chosen, strict=True):
            if best is not None:
                draft.home.verified += draft.home is draft.asked
                if self._enters(draft.prompt, draft.text):
                    self._keep(draft.home, best)
        return [draft for draft, best in zip(drafts, chosen, strict=True) if best is None]

    def _keep(self, cell: Cell, chosen: Chosen) -> None:
        problem = chosen.candidate.problem
        cell.kept.append(
            Item(
                id=item_id(cell.skill.name, problem.prompt, problem.completion),
                skill=cell.skill.name,
                difficulty=cell.difficulty,
                prompt=problem.prompt,
                completion=problem.completion,
                reasoning=chosen.candidate.reasoning,
                reasoning_of=chosen.candidate.asked_to if chosen.candidate.reasoning else "",
                teacher=self.author.teacher,
                verdict=chosen.verdict,
                strategy=self.author.strategy_digest,
                context=self.strategy.skills[cell.skill.name].context,
            )
        )


def _parts(problem: Problem) -> tuple[str, str]:
    return problem.prompt, problem.completion
