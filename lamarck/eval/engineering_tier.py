"""Tier 2: ask every engineering question in as few engine calls as their settings allow, then judge the answers."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lamarck.engine import Engine
from lamarck.engine.answer import answer_of
from lamarck.eval.ladders import JUDGES, judge_writing
from lamarck.eval.outcome import TierOutcome, reason, sample_row, scored
from lamarck.judging.sandbox import Sandbox, SandboxUnavailable
from lamarck.seeds import seed_for
from lamarck.skills import get_skill
from lamarck.suites.sections import LadderTask, WritingTask
from lamarck.suites.suite import Suite, held_out_prompts
from lamarck.suites.tasks.base import EngineeringTask

WRITING_SEED = 20260101  # the same luck for every model
Rows = list[dict[str, Any]]


def run_engineering(
    suite: Suite, engine: Engine, on_done: Callable[[int], None] = lambda finished: None
) -> TierOutcome:
    """The tasks of suite.yaml, and those that are files of their own, whose answers run in the sandbox."""
    outcome = TierOutcome()
    tasks = suite.tiers.engineering.tasks
    for ladder_tasks in _by_limit([task for task in tasks if isinstance(task, LadderTask)]):
        _take(outcome, ladder_tasks, lambda group: _climb(suite, engine, group, on_done))
    for writing_tasks in _by_limit([task for task in tasks if isinstance(task, WritingTask)]):
        _take(outcome, writing_tasks, lambda group: _write(suite, engine, group, on_done))
    if suite.engineering_files:
        try:
            sandbox = Sandbox()
        except SandboxUnavailable as error:
            outcome.errors |= {task.name: str(error) for task in suite.engineering_files}
            return outcome
        _take(outcome, suite.engineering_files, lambda group: _solve(suite, engine, group, sandbox, on_done))
    return outcome


def judge_answers(tasks: Sequence[EngineeringTask], texts: Sequence[str], sandbox: Sandbox) -> list[dict[str, bool]]:
    """Rungs of each task's answer, `texts` being what the model wrote, its reasoning included."""

    def judge(pair: tuple[EngineeringTask, str]) -> dict[str, bool]:
        task, text = pair
        return task.judge(answer_of(text), sandbox)

    # Each waits for a program in its own room: as many side by side as there are cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(judge, zip(tasks, texts, strict=True)))


def _take(outcome: TierOutcome, tasks: Sequence[Any], run: Callable[[Sequence[Any]], list[Rows]]) -> None:
    """Run the tasks together, or where that fails one by one, so that a failure is the failing task's alone."""
    try:
        for rows in run(tasks):
            outcome.add(rows)
    except Exception as error:  # engines raise whatever their libraries raise; an error is no score
        if len(tasks) == 1:
            outcome.errors[tasks[0].name] = reason(error)
            return
        for task in tasks:
            _take(outcome, [task], run)


def _by_limit(tasks: Sequence[Any]) -> list[list[Any]]:
    """Tasks that may be equally long share an engine call: a longer answer than a task allows is never seen."""
    groups: dict[int, list[Any]] = defaultdict(list)
    for task in tasks:
        groups[task.max_new_tokens].append(task)
    return [groups[limit] for limit in sorted(groups)]


def _climb(suite: Suite, engine: Engine, tasks: Sequence[LadderTask], on_done: Callable[[int], None]) -> list[Rows]:
    prompts = [item.prompt for task in tasks for item in suite.items[task.name]]
    texts = iter(engine.generate(prompts, max_new_tokens=tasks[0].max_new_tokens, on_done=on_done))
    found = []
    for task in tasks:
        rows = []
        for index, item in enumerate(suite.items[task.name]):
            answer = answer_of(next(texts))
            score, rungs = scored(JUDGES[task.kind](answer, item.target), suite.points(task.kind))
            rows.append(sample_row(task.name, index, item.prompt, item.target, answer, score, rungs))
        found.append(rows)
    return found


def _write(suite: Suite, engine: Engine, tasks: Sequence[WritingTask], on_done: Callable[[int], None]) -> list[Rows]:
    held_out = held_out_prompts(suite)
    asked = [get_skill(task.skill).ask(task.difficulty) for task in tasks for _ in range(task.samples)]
    texts = engine.generate(
        asked,
        max_new_tokens=tasks[0].max_new_tokens,
        temperature=1.0,
        seed=seed_for(WRITING_SEED, str(tasks[0].max_new_tokens)),
        on_done=on_done,
    )
    answers = iter(map(answer_of, texts))
    found = []
    for task in tasks:
        skill = get_skill(task.skill)
        written = [next(answers) for _ in range(task.samples)]
        judged = judge_writing(written, skill, task.difficulty, held_out.__contains__)
        asked_for = skill.ask(task.difficulty)
        rows = [
            sample_row(task.name, index, asked_for, "", text, *scored(rungs, suite.points(task.kind)))
            for index, (text, rungs) in enumerate(zip(written, judged, strict=True))
        ]
        found.append(rows)
    return found


def _solve(
    suite: Suite, engine: Engine, tasks: Sequence[EngineeringTask], sandbox: Sandbox, on_done: Callable[[int], None]
) -> list[Rows]:
    limit = suite.tiers.engineering.answer_tokens
    texts = engine.generate([task.prompt for task in tasks], max_new_tokens=limit, on_done=on_done)
    judged = judge_answers(tasks, texts, sandbox)
    return [
        [sample_row(task.name, 0, task.prompt, "", text, *scored(rungs, suite.points(task.kind)))]
        for task, text, rungs in zip(tasks, texts, judged, strict=True)
    ]
