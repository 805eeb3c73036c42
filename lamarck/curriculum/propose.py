"""The teacher at work: it writes problem and answer, a verifier judges, what holds is kept, the rest is counted."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from lamarck.curriculum.filter import Contamination
from lamarck.curriculum.item import Item, Teacher, Verdict, item_id
from lamarck.curriculum.strategy import Effort, Strategy
from lamarck.engine import Engine
from lamarck.eval.answer import answer_of
from lamarck.seeds import seed_for
from lamarck.skills import Malformed, Skill, get_skill

UNVERIFIED = "none"


@dataclass
class Cell:
    """One skill at one difficulty: what was asked, what came of it."""

    skill: Skill
    difficulty: int
    effort: Effort
    sampled: int = 0
    verified: int = 0
    kept: list[Item] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    pass_rate: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.skill.name}.{self.difficulty}"


@dataclass(frozen=True)
class Author:
    """Who writes, under which strategy: the provenance of every item."""

    teacher: Teacher
    strategy_digest: str


def open_cells(strategy: Strategy) -> list[Cell]:
    return [
        Cell(get_skill(skill), difficulty, strategy.effort)
        for skill, difficulties in strategy.skills.items()
        for difficulty in difficulties
    ]


def propose_verified(
    engine: Engine,
    strategy: Strategy,
    author: Author,
    contamination: Contamination,
    seed: int,
    on_samples: Callable[[int], None],
) -> list[Cell]:
    """Probe every cell, then go on where there is something to gain: most effort where the teacher half knows.

    Returns the cells with the verified, distinct, uncontaminated items in the order in which they were written.
    """
    cells = open_cells(strategy)
    seen: set[str] = set()

    def sample(asked: list[Cell], samples: int, round_number: int) -> None:
        written = _write(engine, strategy, asked, samples, seed_for(seed, str(round_number)), on_samples)
        for cell, prompt, text in written:
            _judge(cell, prompt, text, author, contamination, seen)

    sample(cells, strategy.probe_samples, 0)
    for cell in cells:
        cell.pass_rate = cell.verified / cell.sampled
        cell.effort = effort_for(cell.pass_rate, strategy)
    round_number = 0
    while asked := [cell for cell in cells if _wants_more(cell)]:
        round_number += 1
        sample(asked, strategy.probe_samples, round_number)
    for cell in cells:
        del cell.kept[cell.effort.items :]
    return cells


def effort_for(pass_rate: float, strategy: Strategy) -> Effort:
    """What a cell is worth to a teacher with this pass rate there: at the frontier, most; out of reach, no more than
    the probe that found nothing."""
    if pass_rate == 0:
        return Effort(items=strategy.frontier_effort.items, max_samples=strategy.probe_samples)
    return strategy.frontier_effort if pass_rate < strategy.frontier_below else strategy.effort


def _wants_more(cell: Cell) -> bool:
    return len(cell.kept) < cell.effort.items and cell.sampled < cell.effort.max_samples


def propose_unverified(
    engine: Engine,
    strategy: Strategy,
    author: Author,
    contamination: Contamination,
    wanted: Counter[tuple[str, int]],
    seed: int,
    on_samples: Callable[[int], None],
) -> list[Cell]:
    """The control arm: as many items per cell as `wanted`, taken as they come. Only what could not be trained on at
    all (no problem, no answer, a repeat, held-out problems) is left out."""
    cells = [cell for cell in open_cells(strategy) if wanted[cell.skill.name, cell.difficulty]]
    seen: set[str] = set()
    limit = max(strategy.effort.max_samples, strategy.frontier_effort.max_samples)
    for cell in cells:
        cell.effort = Effort(items=wanted[cell.skill.name, cell.difficulty], max_samples=limit)
    round_number = 0
    while asked := [cell for cell in cells if _wants_more(cell)]:
        found = _write(engine, strategy, asked, strategy.probe_samples, seed_for(seed, str(round_number)), on_samples)
        for cell, prompt, text in found:
            _take(cell, prompt, text, author, contamination, seen)
        round_number += 1
    for cell in cells:
        del cell.kept[cell.effort.items :]
    return cells


def _write(
    engine: Engine, strategy: Strategy, cells: list[Cell], samples: int, seed: int, on_samples: Callable[[int], None]
) -> list[tuple[Cell, str, str]]:
    """`samples` texts per cell, in one batch: (cell, what it was asked, what it wrote)."""
    asked = [cell for cell in cells for _ in range(samples)]
    prompts = [cell.skill.ask(cell.difficulty) for cell in asked]
    texts = engine.generate(
        prompts,
        max_new_tokens=strategy.max_new_tokens,
        temperature=strategy.temperature,
        top_p=strategy.top_p,
        seed=seed,
        on_done=on_samples,
    )
    return list(zip(asked, prompts, map(answer_of, texts), strict=True))


def _judge(cell: Cell, asked: str, text: str, author: Author, contamination: Contamination, seen: set[str]) -> None:
    """Count one written text, and keep it when it is verified, new and not in the suite."""
    cell.sampled += 1
    try:
        problem = cell.skill.parse(asked, text)
    except Malformed:
        cell.dropped["malformed"] += 1
        return
    if not cell.skill.verify(problem).verified or cell.skill.difficulty(problem.prompt) != cell.difficulty:
        cell.dropped["wrong"] += 1
        return
    cell.verified += 1
    verdict = Verdict(verified=True, by=cell.skill.name, score=1.0)
    _keep(cell, problem.prompt, problem.completion, verdict, author, contamination, seen)


def _take(cell: Cell, asked: str, text: str, author: Author, contamination: Contamination, seen: set[str]) -> None:
    """The control's counterpart of `_judge`: nothing is verified."""
    cell.sampled += 1
    try:
        problem = cell.skill.parse(asked, text)
    except Malformed:
        cell.dropped["malformed"] += 1
        return
    verdict = Verdict(verified=False, by=UNVERIFIED, score=0.0)
    _keep(cell, problem.prompt, problem.completion, verdict, author, contamination, seen)


def _keep(
    cell: Cell,
    prompt: str,
    completion: str,
    verdict: Verdict,
    author: Author,
    contamination: Contamination,
    seen: set[str],
) -> None:
    if prompt in seen:
        cell.dropped["duplicate"] += 1
        return
    if contamination.overlaps(prompt):
        cell.dropped["in the suite"] += 1
        return
    seen.add(prompt)
    cell.kept.append(
        Item(
            id=item_id(cell.skill.name, prompt, completion),
            skill=cell.skill.name,
            difficulty=cell.difficulty,
            prompt=prompt,
            completion=completion,
            teacher=author.teacher,
            verdict=verdict,
            strategy=author.strategy_digest,
        )
    )


def replay(earlier: list[list[Item]], written: list[Item], per_cell: int, seed: int) -> list[Item]:
    """Up to `per_cell` items per cell of each earlier curriculum, its own items only, none that `written` repeats.

    Accumulating instead of replacing is what keeps a chain of generations from collapsing
    (Gerstgrasser et al. 2024, arXiv:2404.01413).
    """
    taken = {item.prompt for item in written}
    chosen: list[Item] = []
    for number, curriculum in enumerate(earlier):
        shuffled = curriculum.copy()
        random.Random(seed_for(seed, str(number))).shuffle(shuffled)
        count: Counter[tuple[str, int]] = Counter()
        for item in shuffled:
            cell = (item.skill, item.difficulty)
            if item.prompt not in taken and count[cell] < per_cell:
                count[cell] += 1
                taken.add(item.prompt)
                chosen.append(item)
    return chosen
