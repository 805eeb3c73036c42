"""The sanity tier's figures are lm-eval's, and one task's failure is its own."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.eval.sanity import run_sanity
from lamarck.files import write_jsonl
from lamarck.suites.suite import CORPUS, Suite, load_suite


class Failing:
    """The engine given, save that it dies on prompts that hold a word: what running out of memory looks like."""

    def __init__(self, engine: Engine, word: str) -> None:
        self.engine = engine
        self.word = word

    def generate(self, prompts: list[str], **settings: Any) -> list[str]:
        if any(self.word in prompt for prompt in prompts):
            raise MemoryError(f"no room for {self.word}\nwith a second line")
        return self.engine.generate(prompts, **settings)

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        return self.engine.loglikelihoods(texts)


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return load_engine(HFEngineConfig(batch_size=64), model, None)


@pytest.fixture(scope="module")
def answerable(suite: Suite, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite, with every third target replaced by what the untrained model says: scores strictly inside 0..100."""
    path = shutil.copytree(suite.path, tmp_path_factory.mktemp("answerable") / "suite")
    for task in suite.sanity_tasks:
        items = suite.items[task.name]
        said = engine.generate([item.prompt for item in items], max_new_tokens=task.max_new_tokens)
        rows = [
            {"prompt": item.prompt, "target": answer if index % 3 == 0 and answer else item.target}
            for index, (item, answer) in enumerate(zip(items, said, strict=True))
        ]
        write_jsonl(path / "items" / f"{task.name}.jsonl", rows)
    return load_suite(path)


def test_figures_equal_plain_lm_eval(
    answerable: Suite, engine: Engine, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # ours need no working directory
    outcome = run_sanity(answerable, engine)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(answerable.path)  # theirs take the task files' relative paths from the suite's directory
    found: Any = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(model), batch_size=64, dtype="float32", device="cpu"),
        tasks=[*answerable.lm_eval_tasks],
        task_manager=TaskManager(include_path="tasks", include_defaults=False),
    )
    theirs = found["results"]
    assert len(outcome.tasks) == 2
    for task, figures in outcome.tasks.items():
        assert figures["score"] == round(100 * theirs[task]["exact_match,none"], 6)
        assert figures["stderr"] == round(100 * theirs[task]["exact_match_stderr,none"], 6)
        assert 0 < figures["score"] < 100
    # Texts are batched otherwise, so the last digits of their sums may differ.
    assert outcome.facts["bits_per_byte"] == pytest.approx(theirs[CORPUS]["bits_per_byte,none"], abs=1e-5)
    answers = {(row["task"], row["index"]): row["answer"] for row in outcome.samples}
    for task in answerable.sanity_tasks:
        for sample in found["samples"][task.name]:
            assert answers[task.name, sample["doc_id"]] == sample["filtered_resps"][0]


def test_a_task_that_dies_spares_the_others(answerable: Suite, engine: Engine) -> None:
    broken, other = answerable.sanity_tasks
    tag = answerable.items[broken.name][0].prompt.split(" ", 1)[0]
    whole, outcome = run_sanity(answerable, engine), run_sanity(answerable, Failing(engine, tag))
    assert outcome.errors == {broken.name: f"MemoryError: no room for {tag}"}
    assert outcome.tasks == {other.name: whole.tasks[other.name]}
    assert {row["task"] for row in outcome.samples} == {other.name}
    assert outcome.score(answerable.weights["sanity"]) is None
    assert outcome.facts == whole.facts


@pytest.mark.parametrize("broken", [CORPUS, "arithmetic_2"])
def test_a_task_that_does_not_load_has_no_score(answerable: Suite, engine: Engine, broken: str) -> None:
    config = {**answerable.lm_eval_tasks[broken], "output_type": "telepathy"}
    damaged = replace(answerable, lm_eval_tasks={**answerable.lm_eval_tasks, broken: config})
    outcome = run_sanity(damaged, engine)
    assert outcome.score(answerable.weights["sanity"]) is None
    assert list(outcome.errors) == [broken]
    assert "telepathy" in outcome.errors[broken]


def test_nothing_runs_at_all(answerable: Suite, engine: Engine) -> None:
    configs = {name: {**config, "output_type": "telepathy"} for name, config in answerable.lm_eval_tasks.items()}
    outcome = run_sanity(replace(answerable, lm_eval_tasks=configs), engine)
    assert (outcome.tasks, outcome.samples, outcome.facts) == ({}, [], {})
    assert outcome.errors.keys() == configs.keys()


def test_lm_evals_own_log_level_is_restored(answerable: Suite, engine: Engine) -> None:
    logger = logging.getLogger("lm_eval")
    before = logger.level
    run_sanity(answerable, engine)
    assert logger.level == before
