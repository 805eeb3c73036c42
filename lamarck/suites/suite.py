"""The frozen suite: what is asked, how much it weighs, and which prompts nobody may train on. Light.

config/suites/NAME/
    suite.yaml           the tiers with their weights and tasks, the student, the held-out corpus
    items/TASK.jsonl     {"prompt", "target"}, one item a line
    tasks/TASK.yaml      a sanity task for lm-eval, or what to change in one that lm-eval has; paths in it are relative
                         to the suite's directory
    engineering/*.yaml   engineering tasks that are files of their own: prompt, reference, wrong answers, rubric
    corpus.jsonl         {"text"}, one held-out line each, for bits per byte
    student/             the student's model directory, where suite.yaml says that it is shipped
    README.md, ERRATA.md what it measures, and what turned out wrong; the digest leaves these two out
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from lamarck import strict_yaml
from lamarck.config.section import Section, check_section, load_section
from lamarck.errors import LamarckError
from lamarck.files import digest_directory, read_jsonl
from lamarck.lineage.generation import SHIPPED_STUDENT
from lamarck.lineage.records import SANITY
from lamarck.skills.base import PROMPT_END, Problem
from lamarck.skills.plain import MARK
from lamarck.suites.sections import (
    EACH_RUNG_ALONE,
    RUNGS,
    RUNGS_IN_ORDER,
    SCORING,
    BenchmarkTask,
    CorpusLine,
    EngineeringTier,
    HeldOutTask,
    ProblemItem,
    ShippedStudent,
    SuiteFile,
    SuiteTask,
    Tiers,
    WritingTask,
)
from lamarck.suites.tasks.base import EngineeringTask

R = TypeVar("R", bound=Section)

ENGINEERING, TEACHING = "engineering", "teaching"
TIERS = (SANITY, ENGINEERING, TEACHING)
JUDGING = "2"  # Of what judges answers by running them: as above, for the suites that hold such tasks.
CORPUS = "corpus"  # The name of the bits-per-byte task, beside the tasks that suite.yaml lists.


@dataclass(frozen=True)
class Suite:
    """A suite that has been read and checked: nothing below reads its files again."""

    path: Path
    name: str
    scorers: dict[str, str]
    tiers: Tiers
    items: dict[str, tuple[ProblemItem, ...]]
    corpus: tuple[str, ...]
    lm_eval_tasks: dict[str, dict[str, Any]]
    engineering_files: tuple[EngineeringTask, ...]
    exam: bool

    @property
    def sanity_tasks(self) -> tuple[HeldOutTask | BenchmarkTask, ...]:
        return self.tiers.sanity.tasks

    @property
    def questions(self) -> int:
        """How many answers an evaluation asks for: what its progress counts."""
        asked = sum(len(items) for items in self.items.values()) + len(self.engineering_files)
        asked += sum(task.items for task in self.sanity_tasks if isinstance(task, BenchmarkTask))
        asked += sum(task.samples for task in self.tiers.engineering.tasks if isinstance(task, WritingTask))
        teaching = self.tiers.teaching
        # The student is examined twice: before it is taught, and after.
        examined = sum(len(self.items[task.name]) for task in teaching.tasks)
        return asked + len(teaching.writes) * teaching.samples + examined

    @property
    def student(self) -> Path | None:
        """The directory of the student that lies in the suite; None where another is made or fetched."""
        return self.path / SHIPPED_STUDENT if isinstance(self.tiers.teaching.student, ShippedStudent) else None

    @property
    def runs_answers(self) -> bool:
        """Whether any answer is judged by running it."""
        programs = any(isinstance(task, BenchmarkTask) and task.scorer == "program" for task in self.sanity_tasks)
        return programs or bool(self.engineering_files)

    def points(self, kind: str) -> Mapping[str, float] | None:
        """Rung -> points of the engineering tasks of a kind; None where each rung counts alike, on its own."""
        return self.tiers.engineering.points.get(kind)

    @property
    def weights(self) -> dict[str, dict[str, float]]:
        """Tier -> task -> weight within the tier: they need not sum to one."""
        return _weights(self.tiers, self.engineering_files)


def load_suite(path: Path) -> Suite:
    """Read and check the suite in directory `path`.

    Errors: LamarckError with one sentence for a missing file, an unknown key, a repeated name, item or corpus line,
    an empty task, a domain outside the suite's, or an lm-eval file that does not describe the task of suite.yaml.
    """
    file = load_section(path / "suite.yaml", SuiteFile)
    tiers = file.tiers
    engineering_files = _load_engineering(path)
    asked = [task for tier in (tiers.sanity, tiers.engineering, tiers.teaching) for task in tier.tasks]
    names = [task.name for task in asked] + [task.name for task in engineering_files] + [CORPUS]
    _refuse_repeats(names, f"{path / 'suite.yaml'}: task name")
    if not tiers.engineering.tasks and not engineering_files:
        raise LamarckError(f"{path}: tier engineering has no task, in suite.yaml or in engineering/")
    student = tiers.teaching.student
    if isinstance(student, ShippedStudent) and digest_directory(path / SHIPPED_STUDENT) != student.weights:
        raise LamarckError(f"{path / SHIPPED_STUDENT} is not the student that suite.yaml names: restore it with git")
    if tiers.engineering.points:
        _check_points(path, tiers.engineering, engineering_files)
    held_out = [task for task in asked if isinstance(task, SuiteTask) and not isinstance(task, WritingTask)]
    items = {task.name: _load_items(path / "items" / f"{task.name}.jsonl") for task in held_out}
    # One pool of prompts: an item that two tasks share would count twice, and pair wrongly.
    _refuse_repeats([item.prompt for found in items.values() for item in found], f"{path}: prompt")
    lm_eval_tasks = {task.name: _load_lm_eval_task(path, task) for task in tiers.sanity.tasks}
    corpus: tuple[str, ...] = ()
    if file.corpus:
        corpus = tuple(line.text for line in _load_rows(path / file.corpus, CorpusLine))
        _refuse_repeats(list(corpus), f"{path / file.corpus}: line")
        lm_eval_tasks[CORPUS] = _read_lm_eval_task(path, CORPUS)
        _check_data(path, CORPUS, lm_eval_tasks[CORPUS], file.corpus)
    return Suite(path, file.name, file.scorers, tiers, items, corpus, lm_eval_tasks, engineering_files, file.exam)


def scorers() -> dict[str, str]:
    """What scores here: package -> version."""
    return {"lamarck": SCORING, "lm_eval": version("lm_eval")}


def check_scorers(suite: Suite) -> None:
    """Errors: LamarckError where another version would score than the one that the suite was frozen with."""
    for name, installed in scorers().items():
        earlier = name == "lamarck" and suite.scorers.get(name) in (EACH_RUNG_ALONE, RUNGS_IN_ORDER)
        if suite.scorers.get(name) != installed and not earlier:
            raise LamarckError(
                f"{suite.name} is scored by {name} {suite.scorers.get(name)}, and here is {installed}: its scores "
                "would not compare with others; install envs/cpu.txt"
            )
    if suite.runs_answers and suite.scorers.get("judging") != JUDGING:
        raise LamarckError(
            f"{suite.name} was frozen for another way to judge answers by running them (its ERRATA.md), and its scores "
            f"would not compare with others: evaluate on a suite that names judging {JUDGING}"
        )


def suite_weights(path: Path) -> dict[str, float]:
    """Task -> share of the suite's score, all together 1: enough to compare outcomes that are already there."""
    tiers = load_section(path / "suite.yaml", SuiteFile).tiers
    weights = _weights(tiers, _load_engineering(path))
    whole = sum(_tier_weight(tiers, tier) for tier in weights)
    return {
        task: _tier_weight(tiers, tier) / whole * weight / sum(tasks.values())
        for tier, tasks in weights.items()
        for task, weight in tasks.items()
    }


def suite_kinds(path: Path) -> dict[str, str]:
    """Engineering task that is a file of its own, and so a single item -> the kind that it is drawn from."""
    return {task.name: task.kind for task in _load_engineering(path)}


def is_exam(path: Path) -> bool:
    """Whether a suite says that it is one."""
    values = strict_yaml.load(path / "suite.yaml")
    return isinstance(values, dict) and values.get("exam") is True


def check_is_exam(path: Path, source: str) -> None:
    """Errors: LamarckError where the suite that `source` names as its `exam` does not say that it is one."""
    if not is_exam(path):
        raise LamarckError(f"{source}: exam: {path} is not an exam: its suite.yaml does not say so")


def student_kind(path: Path) -> str:
    """tiny: the suite's student is pretrained here. shipped: it lies in the suite. hub: it is fetched from there."""
    return load_section(path / "suite.yaml", SuiteFile).tiers.teaching.student.kind


def sanity_names(path: Path) -> list[str]:
    """The sanity tasks of a suite, on which a loss is a red flag."""
    return [task.name for task in load_section(path / "suite.yaml", SuiteFile).tiers.sanity.tasks]


def _tier_weight(tiers: Tiers, tier: str) -> float:
    return float(getattr(tiers, tier).weight)


def _weights(tiers: Tiers, engineering_files: Sequence[EngineeringTask]) -> dict[str, dict[str, float]]:
    weights = {tier: {task.name: task.weight for task in getattr(tiers, tier).tasks} for tier in TIERS}
    # As many as the task has points: one a rung where the suite does not say.
    points = {kind: sum(of_rungs.values()) for kind, of_rungs in tiers.engineering.points.items()}
    weights[ENGINEERING] |= {task.name: points.get(task.kind, float(len(task.rungs))) for task in engineering_files}
    return weights


def _check_points(path: Path, tier: EngineeringTier, engineering_files: Sequence[EngineeringTask]) -> None:
    """Errors: LamarckError where the points are not those of the tier's kinds of task and of their rungs, in order."""
    rungs = {task.kind: RUNGS[task.kind] for task in tier.tasks} | {task.kind: task.rungs for task in engineering_files}
    for kind in sorted(rungs.keys() | tier.points.keys()):
        expected, given = rungs.get(kind, ()), tuple(tier.points.get(kind, {}))
        if expected != given or not sum(tier.points[kind].values()):
            raise LamarckError(
                f"{path / 'suite.yaml'}: tiers.engineering.points.{kind} must give the rungs "
                f"{', '.join(expected) or '(no task is of that kind)'}, in this order, points of which one is above 0"
            )


def held_out_prompts(suite: Suite) -> frozenset[str]:
    """Every prompt that no curriculum and no founder's corpus may contain: of items, engineering tasks and corpus."""
    from_items = (item.prompt for items in suite.items.values() for item in items)
    from_files = (task.prompt for task in suite.engineering_files)
    return frozenset(from_items) | frozenset(from_files) | frozenset(prompt_of(line) for line in suite.corpus)


def corpus_line(problem: Problem) -> str:
    """A problem and its answer as one text: behind the `=>` that ends a prompt of the tiny world, or on a new line."""
    return f"{problem.prompt}{' ' if problem.prompt.endswith(f' {PROMPT_END}') else MARK}{problem.completion}"


def prompt_of(line: str) -> str:
    """The prompt of a corpus line, the inverse of `corpus_line`; a line without an answer is its own prompt."""
    prompt, mark, _ = line.partition(f" {PROMPT_END}")
    return prompt + mark if mark else line.partition(MARK)[0]


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


def _load_engineering(path: Path) -> tuple[EngineeringTask, ...]:
    """The tasks in engineering/, by their file names. Errors: LamarckError for a file that is not a task."""
    files = sorted((path / ENGINEERING).glob("*.yaml"))
    if not files:
        return ()
    from lamarck.suites.tasks.load import load_task  # the kinds: not needed where a suite has no such files

    return tuple(load_task(file) for file in files)


def _load_items(path: Path) -> tuple[ProblemItem, ...]:
    items = _load_rows(path, ProblemItem)
    if not items:
        raise LamarckError(f"{path} holds no item: a task needs at least one")
    return items


def _load_rows(path: Path, kind: type[R]) -> tuple[R, ...]:
    return tuple(check_section(row, kind, f"{path} line {number}") for number, row in read_jsonl(path))


def _load_lm_eval_task(suite: Path, task: HeldOutTask | BenchmarkTask) -> dict[str, Any]:
    """The lm-eval file of a task. Errors: LamarckError where it would ask for other items or longer answers."""
    config = _read_lm_eval_task(suite, task.name)
    if isinstance(task, HeldOutTask):
        _check_data(suite, task.name, config, f"items/{task.name}.jsonl")
    limit = (config.get("generation_kwargs") or {}).get("max_gen_toks")
    if limit != task.max_new_tokens:
        raise LamarckError(
            f"{suite}/tasks/{task.name}.yaml: max_gen_toks is {limit}, but suite.yaml says {task.max_new_tokens}"
        )
    return config


def _read_lm_eval_task(suite: Path, name: str) -> dict[str, Any]:
    path = suite / "tasks" / f"{name}.yaml"
    config = strict_yaml.load(path)
    if not isinstance(config, dict) or config.get("task") != name:
        raise LamarckError(f"{path} must describe task {name!r}, and nothing else")
    return config


def _check_data(suite: Path, name: str, config: dict[str, Any], data_file: str) -> None:
    if config.get("dataset_kwargs") != {"data_files": {"test": data_file}}:
        raise LamarckError(
            f"{suite}/tasks/{name}.yaml must describe task {name!r} with data_files {{test: {data_file}}}"
        )


def _refuse_repeats(values: list[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise LamarckError(f"{what} {value!r} occurs twice: each may stand there once")
        seen.add(value)
