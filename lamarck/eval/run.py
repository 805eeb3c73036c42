"""Run a suite on an engine. lm-eval asks and scores, so that the numbers are those that anyone else would get."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import lm_eval
from datasets import Dataset, DatasetDict
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from lamarck.engine import Engine
from lamarck.eval.lm import EngineLM
from lamarck.eval.suite import CORPUS, Suite

METRIC = "exact_match"
DECIMALS = 6


@dataclass
class Outcome:
    """What lm-eval returned, task by task, and why the others are missing."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def evaluate(
    suite: Suite, engine: Engine, on_done: Callable[[int], None] = lambda finished: None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores and per-item outcomes of the model that `engine` serves. `on_done` hears of every answered item.

    Scores: {"score": weighted mean of the tasks, "partial", "bits_per_byte", "tasks": {name: {"score", "n",
    "stderr"}}}, points of 0..100, rounded to 6 decimals. An error is never a zero: when anything could not run,
    `partial` is true, `errors` says what and why, and `score` is None.
    Outcomes: {"task", "index", "prompt", "target", "answer", "correct"}, sorted by task and index.
    """
    with _quiet_lm_eval():
        outcome = _run(suite, EngineLM(engine, on_done))
    samples = [_sample_row(task.name, sample) for task in suite.tasks for sample in outcome.samples.get(task.name, [])]
    tasks = {task.name: _task_scores(outcome, task.name) for task in suite.tasks if task.name in outcome.results}
    bits = outcome.results.get(CORPUS, {}).get("bits_per_byte,none")
    scores = {
        "score": None if outcome.errors else _weighted_score(suite, outcome),
        "partial": bool(outcome.errors),
        "bits_per_byte": None if bits is None else round(bits, DECIMALS),
        "tasks": tasks,
    }
    if outcome.errors:
        scores["errors"] = dict(sorted(outcome.errors.items()))
    return scores, sorted(samples, key=lambda row: (row["task"], row["index"]))


def _run(suite: Suite, model: EngineLM) -> Outcome:
    """All tasks together, because the engine then batches across them; one by one where that fails."""
    outcome = Outcome()
    tasks: dict[str, Task] = {}
    for name in suite.lm_eval_tasks:
        try:
            tasks[name] = _load_task(suite, name)
        except Exception as error:  # lm-eval raises whatever its YAML, metrics and filters raise
            outcome.errors[name] = _reason(error)
    if not tasks:
        return outcome
    try:
        _ask(model, tasks, outcome)
    except Exception:  # one task's failure must not take the others along: find out whose it is
        for name in tasks:
            try:
                _ask(model, {name: _load_task(suite, name)}, outcome)
            except Exception as error:  # as above
                outcome.errors[name] = _reason(error)
    return outcome


def _ask(model: EngineLM, tasks: dict[str, Task], outcome: Outcome) -> None:
    """Run the tasks and add what came of them. `evaluate`, not `simple_evaluate`: the latter adds a survey of the
    machine (1.5 s of subprocesses) and a start date to the same results, neither of which belongs in them."""
    found = lm_eval.evaluate(lm=model, task_dict={"tasks": tasks}, log_samples=True)
    outcome.results |= found["results"]
    outcome.samples |= found["samples"]


def _load_task(suite: Suite, name: str) -> Task:
    """The lm-eval task, asking the items that `load_suite` has checked.

    Handing them over in memory needs no working directory, and no copy in the user's Hugging Face cache that could
    outlive a change of the file.
    """
    rows = _rows(suite, name)
    config = {**suite.lm_eval_tasks[name], "custom_dataset": lambda **_: DatasetDict(test=Dataset.from_list(rows))}
    return TaskManager(include_defaults=False).load([config])["tasks"][name]


def _rows(suite: Suite, name: str) -> list[dict[str, str]]:
    if name == CORPUS:
        return [{"text": line} for line in suite.corpus]
    return [item.model_dump() for item in suite.items[name]]


def _task_scores(outcome: Outcome, name: str) -> dict[str, Any]:
    """Mean and its standard error in points; lm-eval knows no error of a single item."""
    result = outcome.results[name]
    stderr = result[f"{METRIC}_stderr,none"]
    return {
        "score": round(100 * result[f"{METRIC},none"], DECIMALS),
        "n": len(outcome.samples[name]),
        "stderr": round(100 * stderr, DECIMALS) if isinstance(stderr, float) else None,
    }


def _weighted_score(suite: Suite, outcome: Outcome) -> float:
    total = sum(task.weight * 100 * outcome.results[task.name][f"{METRIC},none"] for task in suite.tasks)
    return round(float(total) / sum(suite.weights.values()), DECIMALS)


def _sample_row(task: str, sample: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": task,
        "index": sample["doc_id"],
        "prompt": sample["doc"]["prompt"],
        "target": sample["doc"]["target"],
        "answer": sample["filtered_resps"][0],
        "correct": bool(sample[METRIC]),
    }


def _reason(error: Exception) -> str:
    """The error's first line: messages of lm-eval and torch run over pages."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _quiet_lm_eval() -> Iterator[None]:
    """lm-eval's log names every prompt it builds; its errors still come through."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
