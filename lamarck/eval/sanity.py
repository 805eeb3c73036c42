"""Tier 1, sanity: lm-eval asks and scores, so that the numbers are those that anyone else would get."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lm_eval
from datasets import Dataset, DatasetDict
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from lamarck.engine import Engine
from lamarck.eval.lm import EngineLM
from lamarck.eval.outcome import DECIMALS, TierOutcome, reason, sample_row
from lamarck.eval.suite import CORPUS, Suite

METRIC = "exact_match"


def run_sanity(suite: Suite, engine: Engine, on_done: Callable[[int], None] = lambda finished: None) -> TierOutcome:
    """The sanity tasks, and as a fact the `bits_per_byte` of the held-out corpus."""
    outcome = TierOutcome()
    with _quiet_lm_eval():
        _run(suite, EngineLM(engine, on_done), outcome)
    return outcome


def _run(suite: Suite, model: EngineLM, outcome: TierOutcome) -> None:
    """All tasks together, because the engine then batches across them; one by one where that fails."""
    tasks: dict[str, Task] = {}
    for name in suite.lm_eval_tasks:
        try:
            tasks[name] = _load_task(suite, name)
        except Exception as error:  # lm-eval raises whatever its YAML, metrics and filters raise
            outcome.errors[name] = reason(error)
    if not tasks:
        return
    try:
        _ask(model, tasks, outcome)
    except Exception:  # one task's failure must not take the others along: find out whose it is
        for name in tasks:
            try:
                _ask(model, {name: _load_task(suite, name)}, outcome)
            except Exception as error:  # as above
                outcome.errors[name] = reason(error)


def _ask(model: EngineLM, tasks: dict[str, Task], outcome: TierOutcome) -> None:
    """Run the tasks and add what came of them. `evaluate`, not `simple_evaluate`: the latter adds a survey of the
    machine (1.5 s of subprocesses) and a start date to the same results, neither of which belongs in them."""
    found = lm_eval.evaluate(lm=model, task_dict={"tasks": tasks}, log_samples=True)
    for name in tasks:
        result = found["results"][name]
        if name == CORPUS:
            outcome.facts["bits_per_byte"] = round(result["bits_per_byte,none"], DECIMALS)
            continue
        outcome.tasks[name] = _scores(result, len(found["samples"][name]))
        outcome.samples += [_row(name, sample) for sample in found["samples"][name]]


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


def _scores(result: dict[str, Any], n: int) -> dict[str, Any]:
    """lm-eval's own mean and standard error, in points; it knows no error of a single item."""
    stderr = result[f"{METRIC}_stderr,none"]
    return {
        "score": round(100 * float(result[f"{METRIC},none"]), DECIMALS),
        "n": n,
        "stderr": round(100 * stderr, DECIMALS) if isinstance(stderr, float) else None,
    }


def _row(task: str, sample: dict[str, Any]) -> dict[str, Any]:
    doc = sample["doc"]
    return sample_row(
        task, sample["doc_id"], doc["prompt"], doc["target"], sample["filtered_resps"][0], float(sample[METRIC])
    )


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
