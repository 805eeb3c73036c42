"""Tier 1, sanity: lm-eval asks and scores, so that the numbers are those that anyone else would get."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import lm_eval
from datasets import Dataset, DatasetDict
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry
from lm_eval.tasks._yaml_loader import load_yaml

from lamarck.engine import Engine
from lamarck.engine.answer import code_of
from lamarck.errors import LamarckError
from lamarck.eval.lm import EngineLM
from lamarck.eval.outcome import DECIMALS, TierOutcome, reason, sample_row, task_scores
from lamarck.judging.examination import examine
from lamarck.judging.outer_room import WITH_NUMPY
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.sections import BenchmarkTask, HeldOutTask
from lamarck.suites.suite import CORPUS, Suite

LIMITS = Limits(seconds=30)
GROUPS = (("passes", "test_program"),)
EXAMINATION = """
from examiner import ask


def {name}(*given, **named):
    return ask("{name}(*given, **named)", given=given, named=named)


{test}


def test_program():
    check({name})
"""


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
        outcome.take(_ask(suite, model, tasks))
    except Exception:  # one task's failure must not take the others along: find out whose it is
        for name in tasks:
            try:
                outcome.take(_ask(suite, model, {name: _load_task(suite, name)}))
            except Exception as error:  # as above
                outcome.errors[name] = reason(error)


def _ask(suite: Suite, model: EngineLM, tasks: dict[str, Task]) -> TierOutcome:
    """What comes of the tasks: of all of them, or an exception and nothing.

    `evaluate`, not `simple_evaluate`: the latter adds a survey of the machine (1.5 s of subprocesses) and a start date
    to the same results, neither of which belongs in them.
    """
    outcome = TierOutcome()
    found = lm_eval.evaluate(lm=model, task_dict={"tasks": tasks}, log_samples=True)
    known = {task.name: task for task in suite.sanity_tasks}
    for name in tasks:
        result, samples = found["results"][name], found["samples"][name]
        if name == CORPUS:
            outcome.facts["bits_per_byte"] = round(result["bits_per_byte,none"], DECIMALS)
        elif isinstance(task := known[name], HeldOutTask):
            _take(outcome, name, "exact_match", "none", result, samples)
        else:
            samples = [sample for sample in samples if sample["filter"] == task.filter]
            if len(samples) != task.items:
                raise LamarckError(f"{name} has {len(samples)} items, and the suite was made for {task.items}")
            if task.scorer == "program":
                _run_programs(outcome, name, samples)
            else:
                _take(outcome, name, task.metric, task.filter, result, samples)
    return outcome


def _take(
    outcome: TierOutcome, task: str, metric: str, filter_: str, result: dict[str, Any], samples: list[dict[str, Any]]
) -> None:
    """lm-eval's own mean and standard error, in points; it knows no error of a single item."""
    stderr = result[f"{metric}_stderr,{filter_}"]
    outcome.tasks[task] = {
        "score": round(100 * float(result[f"{metric},{filter_}"]), DECIMALS),
        "n": len(samples),
        "stderr": round(100 * stderr, DECIMALS) if isinstance(stderr, float) else None,
    }
    outcome.samples += [_row(task, sample, float(sample[metric])) for sample in samples]


def _run_programs(outcome: TierOutcome, task: str, samples: list[dict[str, Any]]) -> None:
    """Score by running each answer's code, and then the item's own tests: HumanEval's `test` and `entry_point`."""
    sandbox = Sandbox()

    def passes(sample: dict[str, Any]) -> float:
        return float(program_passes(str(sample["filtered_resps"][0]), sample["doc"], sandbox))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scores = list(pool.map(passes, samples))
    outcome.tasks[task] = task_scores(scores)
    outcome.samples += [_row(task, sample, score) for sample, score in zip(samples, scores, strict=True)]


def program_passes(answer: str, doc: dict[str, Any], sandbox: Sandbox) -> bool:
    """Whether the last fenced block of `answer` defines `doc["entry_point"]` so that `doc["test"]` holds.

    The item's test runs in the examiner's room; the function that it calls is the answer's, in another.
    Errors: as lamarck.judging.examination.examine.
    """
    # The prompt's own imports and helpers first: an answer may rely on them, and so may the test.
    helpers = f"{doc['prompt'].rstrip()}\n    pass\n\n"
    examination = helpers + EXAMINATION.format(name=doc["entry_point"], test=doc["test"])
    return bool(examine(sandbox, helpers + code_of(answer), examination, GROUPS, LIMITS, imports=WITH_NUMPY).held)


def _load_task(suite: Suite, name: str) -> Task:
    """The lm-eval task. Held-out items are handed over in memory as `load_suite` has checked them: that needs no
    working directory, and leaves no copy in the user's Hugging Face cache that could outlive a change of the file."""
    config = suite.lm_eval_tasks[name]
    if any(task.name == name for task in suite.sanity_tasks if isinstance(task, BenchmarkTask)):
        whole = config if "doc_to_text" in config else {**_public_task(name), **config}
        return TaskManager(include_defaults=False).load([whole])["tasks"][name]
    rows = _rows(suite, name)
    held_out = {**config, "custom_dataset": lambda **_: DatasetDict(test=Dataset.from_list(rows))}
    return TaskManager(include_defaults=False).load([held_out])["tasks"][name]


def _public_task(name: str) -> dict[str, Any]:
    """lm-eval's own description of a task. Errors: LamarckError where it has none of that name."""
    path = _public_index()[name].yaml_path if name in _public_index() else None
    if path is None:
        raise LamarckError(f"lm-eval has no task {name!r}: tasks/{name}.yaml must describe it whole")
    return dict(load_yaml(path))


@cache
def _public_index() -> dict[str, Entry]:
    """Thousands of files, read only where one of them is asked for."""
    return TaskManager().task_index


def _rows(suite: Suite, name: str) -> Sequence[dict[str, str]]:
    if name == CORPUS:
        return [{"text": line} for line in suite.corpus]
    return [item.model_dump() for item in suite.items[name]]


def _row(task: str, sample: dict[str, Any], score: float) -> dict[str, Any]:
    """The prompt as the model was asked it: few-shot examples and all."""
    prompt = str(sample["arguments"][0][0])
    return sample_row(task, sample["doc_id"], prompt, str(sample["target"]), sample["filtered_resps"][0], score)


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
