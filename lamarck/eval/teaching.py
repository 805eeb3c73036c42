"""Tier 3, grounded teaching: the model writes a curriculum, a fixed student learns from it, the student is examined.

The model is judged by what another one learns from it: sound, varied problems with right answers, and enough of them.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from lamarck.config import HFEngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.engine.answer import answer_of
from lamarck.errors import LamarckError
from lamarck.eval.outcome import DECIMALS, TierOutcome, reason, sample_row, task_scores
from lamarck.eval.student_training import SEED, teach
from lamarck.lineage.digest import weights_digest
from lamarck.seeds import seed_for
from lamarck.skills import Malformed, Problem, get_skill
from lamarck.suites.sections import ShippedStudent, TeachingTier
from lamarck.suites.suite import Suite, held_out_prompts


def run_teaching(
    suite: Suite, engine: Engine, student: Path, on_done: Callable[[int], None] = lambda finished: None
) -> TierOutcome:
    """One pass of the model in `engine` as a teacher of the model directory `student`.

    Facts: `written`, `usable` (verified, new, not held out), and `before`, the untaught student's score in points.
    A curriculum without one usable item teaches nothing: the student is then examined as it is.
    """
    outcome = TierOutcome()
    tier = suite.tiers.teaching
    try:
        _check_student(suite, student)
        outcome.facts["before"] = _points(tier, _passes(suite, _examine(suite, student, None, on_done)))
        curriculum = write_curriculum(suite, engine, on_done)
        outcome.facts["written"] = tier.samples * len(tier.writes)
        outcome.facts["usable"] = len(curriculum)
        with tempfile.TemporaryDirectory(prefix="lamarck-student-") as directory:
            adapter = Path(directory) / "adapter" if curriculum else None
            if adapter:
                teach(tier, curriculum, student, adapter)
            answers = _examine(suite, student, adapter, on_done)
    except Exception as error:  # training and engines raise whatever their libraries raise; an error is no score
        outcome.errors |= {task.name: reason(error) for task in tier.tasks}
        return outcome
    passes = _passes(suite, answers)
    for task in tier.tasks:
        outcomes = zip(suite.items[task.name], answers[task.name], passes[task.name], strict=True)
        rows = [
            sample_row(task.name, index, item.prompt, item.target, answer, passed)
            for index, (item, answer, passed) in enumerate(outcomes)
        ]
        outcome.add(rows)
    return outcome


def _check_student(suite: Suite, student: Path) -> None:
    """Errors: LamarckError where the student is not there, or the suite ships another."""
    if not student.is_dir():
        raise LamarckError(f"the suite's student is not in {student}: make it with `snakemake {student}`")
    shipped = suite.tiers.teaching.student
    if isinstance(shipped, ShippedStudent) and weights_digest(student) != shipped.weights:
        raise LamarckError(f"{student} is not the student of {suite.name}: remove it, and run `snakemake {student}`")


def write_curriculum(suite: Suite, engine: Engine, on_done: Callable[[int], None]) -> list[Problem]:
    """What the model writes when asked `samples` times per difficulty, as far as it is sound, right, new and not held
    out."""
    tier = suite.tiers.teaching
    held_out = held_out_prompts(suite)
    skill = get_skill(tier.skill)
    asked = [skill.ask(difficulty) for difficulty in tier.writes for _ in range(tier.samples)]
    texts = engine.generate(
        asked,
        max_new_tokens=tier.writing_tokens,
        temperature=tier.temperature,
        seed=seed_for(SEED, "teaching"),
        on_done=on_done,
    )
    usable: dict[str, Problem] = {}
    for prompt, text in zip(asked, texts, strict=True):
        try:
            problem = skill.parse(prompt, answer_of(text))
        except Malformed:
            continue
        if skill.verify(problem).verified and problem.prompt not in held_out:
            usable.setdefault(problem.prompt, problem)
    return list(usable.values())


def _examine(suite: Suite, student: Path, adapter: Path | None, on_done: Callable[[int], None]) -> dict[str, list[str]]:
    """Task -> the student's greedy answers to its items."""
    tasks = suite.tiers.teaching.tasks
    engine = load_engine(HFEngineConfig(), student, adapter)
    prompts = [item.prompt for task in tasks for item in suite.items[task.name]]
    limit = max(task.max_new_tokens for task in tasks)
    answers = iter(answer_of(text) for text in engine.generate(prompts, max_new_tokens=limit, on_done=on_done))
    return {task.name: [next(answers) for _ in suite.items[task.name]] for task in tasks}


def _passes(suite: Suite, answers: dict[str, list[str]]) -> dict[str, list[float]]:
    """Task -> 1 or 0 for each of the student's answers."""
    return {
        task.name: [
            float(get_skill(task.skill).verify(Problem(item.prompt, answer)).verified)
            for item, answer in zip(suite.items[task.name], answers[task.name], strict=True)
        ]
        for task in suite.tiers.teaching.tasks
    }


def _points(tier: TeachingTier, passes: dict[str, list[float]]) -> float:
    """Weighted mean of the tasks' passes."""
    total = sum(task.weight * task_scores(passes[task.name])["score"] for task in tier.tasks)
    return round(total / sum(task.weight for task in tier.tasks), DECIMALS)
