"""The frozen suite: which items are asked, how much each task weighs, and which prompts nobody may train on. Light.

config/suites/NAME/
    suite.yaml           name, tasks with their weights, the held-out corpus
    items/TASK.jsonl     {"prompt", "target"}, one item a line
    tasks/TASK.yaml      the same task for lm-eval; its paths are relative to the suite's directory
    corpus.jsonl         {"text"}, one held-out line each, for bits per byte
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import Field

from lamarck.config import Section, check_section, load_section
from lamarck.errors import LamarckError
from lamarck.files import read_jsonl
from lamarck.skills.base import PROMPT_END

R = TypeVar("R", bound=Section)

CORPUS = "corpus"  # The name of the bits-per-byte task, beside the tasks that suite.yaml lists.


class SuiteTask(Section):
    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Names items/NAME.jsonl and tasks/NAME.yaml.")
    skill: str
    difficulty: int = Field(ge=0)
    weight: float = Field(gt=0, description="Share of this task in the suite's score, relative to the other weights.")
    max_new_tokens: int = Field(ge=1, description="Longest answer, in the model's tokens.")


class SuiteFile(Section):
    """What suite.yaml holds."""

    name: str
    tasks: tuple[SuiteTask, ...] = Field(min_length=1)
    corpus: str = Field(description="Held-out lines for bits per byte, relative to the suite.")


class Item(Section):
    prompt: str = Field(min_length=1)
    target: str = Field(min_length=1)


class CorpusLine(Section):
    text: str = Field(min_length=1)


@dataclass(frozen=True)
class Suite:
    """A suite that has been read and checked: nothing below reads its item files again."""

    path: Path
    name: str
    tasks: tuple[SuiteTask, ...]
    items: dict[str, tuple[Item, ...]]
    corpus: tuple[str, ...]
    lm_eval_tasks: dict[str, dict[str, Any]]

    @property
    def weights(self) -> dict[str, float]:
        """Task -> weight, as suite.yaml states them: they need not sum to one."""
        return {task.name: task.weight for task in self.tasks}


def load_suite(path: Path) -> Suite:
    """Read and check the suite in directory `path`.

    Errors: LamarckError with one sentence for a missing file, an unknown key, a repeated name, item or corpus line,
    an empty task, or an lm-eval file that does not describe the task of suite.yaml.
    """
    file = load_section(path / "suite.yaml", SuiteFile)
    _refuse_repeats([task.name for task in file.tasks] + [CORPUS], f"{path / 'suite.yaml'}: task name")
    items = {task.name: _load_items(path / "items" / f"{task.name}.jsonl") for task in file.tasks}
    # One pool of prompts: an item that two tasks share would count twice, and pair wrongly.
    _refuse_repeats([item.prompt for task in file.tasks for item in items[task.name]], f"{path}: prompt")
    corpus_path = path / file.corpus
    corpus = tuple(line.text for line in _load_rows(corpus_path, CorpusLine))
    _refuse_repeats(list(corpus), f"{corpus_path}: line")
    lm_eval_tasks = {task.name: _load_lm_eval_task(path, task) for task in file.tasks}
    lm_eval_tasks[CORPUS] = _read_lm_eval_task(path, CORPUS, file.corpus)
    return Suite(path, file.name, file.tasks, items, corpus, lm_eval_tasks)


def suite_weights(path: Path) -> dict[str, float]:
    """Task -> weight, from suite.yaml alone: enough to compare outcomes that are already there."""
    return {task.name: task.weight for task in load_section(path / "suite.yaml", SuiteFile).tasks}


def held_out_prompts(suite: Suite) -> frozenset[str]:
    """Every prompt that no curriculum and no founder's corpus may contain: the items' and the corpus lines'."""
    from_items = (item.prompt for items in suite.items.values() for item in items)
    return frozenset(from_items) | frozenset(prompt_of(line) for line in suite.corpus)


def prompt_of(line: str) -> str:
    """The prompt of a corpus line, up to and including its `=>`; a line without one is its own prompt."""
    prompt, mark, _ = line.partition(f" {PROMPT_END}")
    return prompt + mark


def lm_eval_task(task: SuiteTask) -> dict[str, Any]:
    """lm-eval's description of a generation task (github.com/EleutherAI/lm-evaluation-harness, docs/task_guide.md)."""
    return {
        "task": task.name,
        **_dataset(f"items/{task.name}.jsonl"),
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "target",
        "generation_kwargs": {
            "until": ["\n"],
            "do_sample": False,
            "temperature": 0.0,
            "max_gen_toks": task.max_new_tokens,
        },
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                # Subword tokenizers begin an answer with a space: what surrounds it is not the answer.
                "regexes_to_ignore": [r"^\s+|\s+$"],
            }
        ],
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }


def lm_eval_corpus(file: str) -> dict[str, Any]:
    """lm-eval's description of the bits-per-byte task over the lines of `file`."""
    return {
        "task": CORPUS,
        **_dataset(file),
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [{"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}],
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }


def _dataset(file: str) -> dict[str, Any]:
    return {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": file}}, "test_split": "test"}


def _load_items(path: Path) -> tuple[Item, ...]:
    items = _load_rows(path, Item)
    if not items:
        raise LamarckError(f"{path} holds no item: a task needs at least one")
    return items


def _load_rows(path: Path, kind: type[R]) -> tuple[R, ...]:
    return tuple(check_section(row, kind, f"{path} line {number}") for number, row in read_jsonl(path))


def _load_lm_eval_task(suite: Path, task: SuiteTask) -> dict[str, Any]:
    """The lm-eval file of a task. Errors: LamarckError where it would ask for other items or longer answers."""
    config = _read_lm_eval_task(suite, task.name, f"items/{task.name}.jsonl")
    limit = (config.get("generation_kwargs") or {}).get("max_gen_toks")
    if limit != task.max_new_tokens:
        raise LamarckError(
            f"{suite}/tasks/{task.name}.yaml: max_gen_toks is {limit}, but suite.yaml says {task.max_new_tokens}"
        )
    return config


def _read_lm_eval_task(suite: Path, name: str, data_file: str) -> dict[str, Any]:
    path = suite / "tasks" / f"{name}.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LamarckError(f"{path} does not exist") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LamarckError(f"{path} is not valid YAML: {error}") from error
    described = (config.get("task"), config.get("dataset_kwargs")) if isinstance(config, dict) else None
    if described != (name, {"data_files": {"test": data_file}}):
        raise LamarckError(
            f"{path} must describe task {name!r} with data_files {{test: {data_file}}}, and nothing else"
        )
    return dict(config)


def _refuse_repeats(values: list[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise LamarckError(f"{what} {value!r} occurs twice: each may stand there once")
        seen.add(value)
