"""One answer to one question of a suite, judged by the very code that judges it in an evaluation."""

import difflib
from dataclasses import replace
from typing import Any

from lamarck.engine.answer import answer_of
from lamarck.engine.rule import RuleEngine
from lamarck.errors import LamarckError
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.outcome import sample_row
from lamarck.eval.sanity import run_sanity
from lamarck.eval.work import judged_engine
from lamarck.lineage.records import SANITY
from lamarck.skills import Problem, get_skill
from lamarck.suites.suite import ENGINEERING, TEACHING, Suite, check_scorers


def judge(suite: Suite, name: str, index: int, text: str) -> dict[str, Any]:
    """The outcome of `text`, all that a model wrote, to item `index` of task `name`: as `sample_row` has it.

    Errors: LamarckError where there is no such task or item, where the items are not in the suite, and where what
    judges them cannot run here or is not what the suite was frozen for.
    """
    check_scorers(suite)
    tier = _tier_of(suite, name)
    number = len(suite.items.get(name, [None]))
    if not 0 <= index < number:
        raise LamarckError(f"{name} has {number} items, and --item {index} is not among 0 to {number - 1}")
    if tier == TEACHING:
        return _of_the_student(suite, name, index, text)
    engine = RuleEngine(lambda prompt, rng: text)
    alone = _alone(suite, tier, name, index)
    outcome = run_sanity(alone, engine) if tier == SANITY else run_engineering(alone, judged_engine(suite, engine))
    if outcome.errors:
        raise LamarckError(f"{name} could not be judged: {next(iter(outcome.errors.values()))}")
    return outcome.samples[0] | {"index": index}


def _tier_of(suite: Suite, name: str) -> str:
    tiers = {task.name: ENGINEERING for task in suite.engineering_files}
    for tier in (SANITY, ENGINEERING, TEACHING):
        tiers |= {task.name: tier for task in getattr(suite.tiers, tier).tasks}
    if name not in tiers:
        near = difflib.get_close_matches(name, tiers, n=3) or sorted(tiers)
        raise LamarckError(f"{suite.name} has no task {name!r}; it has {', '.join(near)}")
    if any(task.name == name and task.kind == "benchmark" for task in suite.sanity_tasks):
        raise LamarckError(f"{name} is a public benchmark, whose items the suite does not hold: judge it with lm_eval")
    return tiers[name]


def _alone(suite: Suite, tier: str, name: str, index: int) -> Suite:
    """The suite with this one question in the tier."""
    section = getattr(suite.tiers, tier)
    once = [task.model_copy(update={"samples": 1}) if task.kind == "writing" else task for task in section.tasks]
    section = section.model_copy(update={"tasks": tuple(task for task in once if task.name == name)})
    return replace(
        suite,
        tiers=suite.tiers.model_copy(update={tier: section}),
        # The others too: what a model writes must be none of them.
        items={task: items[index : index + 1] if task == name else items for task, items in suite.items.items()},
        lm_eval_tasks={task: config for task, config in suite.lm_eval_tasks.items() if task == name},
        engineering_files=tuple(task for task in suite.engineering_files if task.name == name),
    )


def _of_the_student(suite: Suite, name: str, index: int, text: str) -> dict[str, Any]:
    """What the student is asked in the end is judged by the skill."""
    skill = next(task.skill for task in suite.tiers.teaching.tasks if task.name == name)
    item, answer = suite.items[name][index], answer_of(text)
    verdict = get_skill(skill).verify(Problem(item.prompt, answer))
    return sample_row(name, index, item.prompt, item.target, answer, float(verdict.verified))
