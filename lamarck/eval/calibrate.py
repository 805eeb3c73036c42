"""The floor and the ceiling of a suite: what one gets who has none of its skills, and who knows every answer."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lamarck.engine.rule import RuleEngine
from lamarck.eval.degenerate import COPIER, Degenerate, degenerates
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.measure import evaluate
from lamarck.eval.outcome import TierOutcome
from lamarck.eval.sanity import run_sanity
from lamarck.eval.teaching import run_teaching
from lamarck.eval.work import SKILLS, form_of, judged_engine, most_of_a_form, takes_work
from lamarck.files import write_text
from lamarck.skills import Skill, get_skill
from lamarck.suites.sections import WORK_ASKED, WritingTask
from lamarck.suites.suite import CORPUS, ENGINEERING, SANITY, TEACHING, TIERS, Suite, held_out_prompts

BEGIN, END = "<!-- calibration: made by `lamarck suite calibrate` -->", "<!-- end of calibration -->"
MOST_DRAWS = 10_000  # for a problem that is new: where so many are not, the space is used up
KNOWS = "knows"
COMPOSED = "the best of these for each task"
Row = tuple[str, dict[str, float | None]]  # who answered, and the score of each tier


def _references(suite: Suite) -> dict[str, str]:
    """Prompt -> right answer, for every question that the suite holds itself."""
    items = {item.prompt: item.target for found in suite.items.values() for item in found}
    return items | {task.prompt: task.reference for task in suite.engineering_files}


class _Writer:
    """Writes problems straight from the skills' generators, none of them twice, none that is held out, and where work
    is asked for such as count."""

    def __init__(self, suite: Suite) -> None:
        tiers = suite.tiers
        written = [task for task in tiers.engineering.tasks if isinstance(task, WritingTask)]
        asked = [(task.skill, task.difficulty, task.samples) for task in written]
        # In the order in which an evaluation asks: what counts of a form is counted anew for the student.
        asked += [(tiers.teaching.skill, difficulty, tiers.teaching.samples) for difficulty in tiers.teaching.writes]
        self._cells: dict[str, tuple[Skill, int]] = {}
        self._rounds: dict[str, list[int]] = defaultdict(list)
        for name, difficulty, samples in asked:
            request = get_skill(name).ask(difficulty)
            self._cells[request] = get_skill(name), difficulty
            self._rounds[request].append(samples)
        self._asks_for_work = suite.scorers.get("lamarck") == WORK_ASKED
        self._forms: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        self._taken = set(held_out_prompts(suite))

    def write(self, prompt: str, rng: random.Random) -> str:
        """The problem that `prompt` asks for, with its answer; nothing for other prompts, or when none is left."""
        if prompt not in self._cells:
            return ""
        skill, difficulty = self._cells[prompt]
        drawn = (skill.sample(rng, difficulty) for _ in range(MOST_DRAWS))
        fresh = (problem for problem in drawn if problem.prompt not in self._taken)
        problem = next((problem for problem in fresh if self._counts(prompt, problem.prompt)), None)
        if problem is None:
            return ""
        self._taken.add(problem.prompt)
        return skill.written(problem.prompt, problem.completion)[1]

    def _counts(self, asked: str, prompt: str) -> bool:
        """Whether the problem would count, should it be written next; then it is counted."""
        skill, difficulty = self._cells[asked]
        if not self._asks_for_work or skill.name not in SKILLS:
            return True
        rounds, forms = self._rounds[asked], self._forms[asked]
        if len(rounds) > 1 and forms.total() == rounds[0]:
            rounds.pop(0)
            forms.clear()
        form = form_of(skill.name, prompt)
        counts = takes_work(skill.name, prompt) and forms[form] < most_of_a_form(skill.name, difficulty, rounds[0])
        forms[form] += counts
        return counts


@dataclass(frozen=True)
class Calibration:
    """`rows`: who answered, and what each tier came to; a tier in which it says nothing is left out.

    `tasks`: who answered -> task -> points, of the floor, of whoever copies, and of who knows: how steep the suite is.
    `floors`: tier -> the best of the degenerate answerers, by name; the tiers that could not run are left out.
    `errors`: task -> why it could not run.
    """

    rows: tuple[Row, ...]
    tasks: dict[str, dict[str, float]]
    floors: dict[str, str]
    errors: dict[str, str]


def calibrate(suite: Suite, student: Path, answerers: Sequence[Degenerate] | None = None) -> Calibration:
    """What the degenerate answerers score, all of them unless `answerers` says which, and one that knows every answer.

    The last of the degenerate ones, `COMPOSED`, answers each task as the best of them does.
    """
    # Without the corpus: bits per byte are of a model's probabilities.
    asked = replace(suite, lm_eval_tasks={name: it for name, it in suite.lm_eval_tasks.items() if name != CORPUS})
    runs = {
        SANITY: lambda engine: run_sanity(asked, engine),
        ENGINEERING: lambda engine: run_engineering(asked, judged_engine(suite, engine)),
        TEACHING: lambda engine: run_teaching(asked, judged_engine(suite, engine), student),
    }
    found: dict[str, dict[str, float | None]] = {}
    tasks: dict[str, dict[str, float]] = {COMPOSED: {}}
    floors: dict[str, str] = {}
    errors: dict[str, str] = {}
    everyone = tuple(degenerates(suite)) if answerers is None else answerers
    for tier in TIERS:
        best: dict[str, float] = {}
        for each in everyone:
            if tier not in each.tiers:
                continue
            outcome = runs[tier](RuleEngine(each.answer))
            found.setdefault(each.name, {})[tier] = outcome.score(suite.weights[tier])
            errors |= outcome.errors
            if each.name == COPIER:
                tasks.setdefault(COPIER, {}).update(task_points(outcome.tasks))
            if outcome.errors:  # what cannot run for one cannot for the others
                break
            best = {task: max(best.get(task, 0.0), figures["score"]) for task, figures in outcome.tasks.items()}
        else:
            composed = TierOutcome(tasks={task: {"score": score} for task, score in best.items()})
            found.setdefault(COMPOSED, {})[tier] = composed.score(suite.weights[tier])
            tasks[COMPOSED] |= best
            floors[tier] = max(found, key=lambda name: found[name].get(tier) or 0.0)
    rows: list[Row] = [(each.name, found[each.name]) for each in everyone if each.name in found]
    if COMPOSED in found:
        floor = found[COMPOSED]
        weights = {tier: getattr(suite.tiers, tier).weight for tier in TIERS}
        if floor.keys() == weights.keys():
            floor["score"] = sum(weights[tier] * (floor[tier] or 0.0) for tier in TIERS) / sum(weights.values())
        rows.append((COMPOSED, floor))
    references, writer = _references(suite), _Writer(suite)
    knows = RuleEngine(lambda prompt, rng: references.get(prompt) or writer.write(prompt, rng))
    scores, _ = evaluate(asked, knows, student)
    rows.append((KNOWS, tier_scores(scores)))
    tasks[KNOWS] = task_points(scores["tasks"])
    return Calibration(tuple(rows), tasks, floors, errors | scores.get("errors", {}))


def task_points(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {task: float(figures["score"]) for task, figures in tasks.items()}


def tier_scores(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Of an evaluation's result: tier -> points, and the whole under `score`."""
    return {tier: scores["tiers"][tier]["score"] for tier in TIERS} | {"score": scores["score"]}


def cells(scores: Mapping[str, float | None]) -> list[str]:
    """A row's points of each tier and of the whole, for a table."""
    return ["" if each not in scores else _points(scores[each]) for each in (*TIERS, "score")]


def _points(score: float | None) -> str:
    return "not run" if score is None else f"{score:.1f}"


def _point(score: float | None) -> str:
    return "" if score is None else _points(score)


def floor_sentences(found: Calibration) -> list[str]:
    scores = dict(found.rows)
    return [f"floor of {tier}: {_points(scores[name][tier])}, by: {name}" for tier, name in found.floors.items()]


def write_table(
    suite: Path, rows: Sequence[Row], sentences: Sequence[str], tasks: Mapping[str, Mapping[str, float]]
) -> None:
    """Put the table, what is to be said of it, and the points task by task into the suite's README, between its marks;
    at the end where it has none."""
    lines = ["| | " + " | ".join((*TIERS, "score")) + " |", "|---" * (len(TIERS) + 2) + "|"]
    lines += [f"| {name} | " + " | ".join(cells(scores)) + " |" for name, scores in rows]
    lines += ["", *(f"- {sentence[0].upper()}{sentence[1:]}." for sentence in sentences)] if sentences else []
    if tasks:
        lines += ["", "| | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
        every = sorted({task for points in tasks.values() for task in points})
        lines += [
            f"| {task} | " + " | ".join(_point(points.get(task)) for points in tasks.values()) + " |" for task in every
        ]
    table = "\n".join([BEGIN, *lines, END])
    readme = suite / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    write_text(readme, f"{before}{table}{after}" if begin and end else f"{text}\n{table}\n")
