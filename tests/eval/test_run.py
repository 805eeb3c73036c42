"""Our figures are lm-eval's, errors are never zeros, and two runs write the same bytes."""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lamarck.config import EngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.errors import LamarckError
from lamarck.eval import __main__ as stage
from lamarck.eval.run import evaluate
from lamarck.eval.suite import CORPUS, Suite, load_suite
from lamarck.files import digest_file, digest_value, write_jsonl
from lamarck.lineage import model_digest, read_record, suite_digest

CONFIG = """
generations: 1
founder: {kind: tiny, skills: {list_ops: {share: 1, weights: [1]}}}
strategy: unused
suite: unused
recipe: {}
budget: {device_seconds: 10}
"""


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
    return load_engine(EngineConfig(batch_size=64), model, None)


@pytest.fixture(scope="module")
def answerable(suite: Suite, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite, with every third target replaced by what the untrained model says: scores strictly inside 0..100."""
    path = shutil.copytree(suite.path, tmp_path_factory.mktemp("answerable") / "suite")
    for task in suite.tasks:
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
    scores, samples = evaluate(answerable, engine)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(answerable.path)  # theirs take the task files' relative paths from the suite's directory
    found: Any = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(model), batch_size=64, dtype="float32", device="cpu"),
        tasks=[*answerable.lm_eval_tasks],
        task_manager=TaskManager(include_path="tasks", include_defaults=False),
    )
    theirs = found["results"]
    for task, figures in scores["tasks"].items():
        assert figures["score"] == round(100 * theirs[task]["exact_match,none"], 6)
        assert figures["stderr"] == round(100 * theirs[task]["exact_match_stderr,none"], 6)
        assert 0 < figures["score"] < 100
    assert scores["bits_per_byte"] == round(theirs[CORPUS]["bits_per_byte,none"], 6)
    answers = {(row["task"], row["index"]): row["answer"] for row in samples}
    for task in answerable.tasks:
        for sample in found["samples"][task.name]:
            assert answers[task.name, sample["doc_id"]] == sample["filtered_resps"][0]


def test_score_is_the_weighted_mean(answerable: Suite, engine: Engine) -> None:
    first, *others = answerable.tasks
    weighted = replace(answerable, tasks=(first.model_copy(update={"weight": 3.0}), *others))
    scores, samples = evaluate(weighted, engine)
    points = {task: figures["score"] for task, figures in scores["tasks"].items()}
    expected = (3 * points[first.name] + sum(points[task.name] for task in others)) / (3 + len(others))
    assert scores["score"] == pytest.approx(expected, abs=1e-5)
    assert scores["partial"] is False
    assert "errors" not in scores
    right = sum(row["correct"] for row in samples if row["task"] == first.name)
    assert points[first.name] == pytest.approx(100 * right / len(answerable.items[first.name]), abs=1e-5)
    keys = [(row["task"], row["index"]) for row in samples]
    assert keys == sorted(keys)


def test_a_task_that_dies_makes_the_result_partial_and_spares_the_others(answerable: Suite, engine: Engine) -> None:
    broken = answerable.tasks[0]
    tag = answerable.items[broken.name][0].prompt.split(" ", 1)[0]
    whole, _ = evaluate(answerable, engine)
    scores, samples = evaluate(answerable, Failing(engine, tag))
    assert (scores["partial"], scores["score"]) == (True, None)
    assert scores["errors"] == {broken.name: f"MemoryError: no room for {tag}"}
    assert broken.name not in scores["tasks"]
    assert broken.name not in {row["task"] for row in samples}
    for task in answerable.tasks[1:]:
        assert scores["tasks"][task.name] == whole["tasks"][task.name]
    assert scores["bits_per_byte"] == whole["bits_per_byte"]


@pytest.mark.parametrize("broken", [CORPUS, "list_ops_3"])
def test_a_task_that_does_not_load_makes_the_result_partial(answerable: Suite, engine: Engine, broken: str) -> None:
    config = {**answerable.lm_eval_tasks[broken], "output_type": "telepathy"}
    damaged = replace(answerable, lm_eval_tasks={**answerable.lm_eval_tasks, broken: config})
    scores, _ = evaluate(damaged, engine)
    assert (scores["partial"], scores["score"]) == (True, None)
    assert list(scores["errors"]) == [broken]
    assert "telepathy" in scores["errors"][broken]


def test_nothing_runs_at_all(answerable: Suite, engine: Engine) -> None:
    configs = {name: {**config, "output_type": "telepathy"} for name, config in answerable.lm_eval_tasks.items()}
    scores, samples = evaluate(replace(answerable, lm_eval_tasks=configs), engine)
    assert (scores["score"], scores["bits_per_byte"], scores["tasks"], samples) == (None, None, {}, [])
    assert scores["errors"].keys() == configs.keys()


def test_lm_evals_own_log_level_is_restored(answerable: Suite, engine: Engine) -> None:
    logger = logging.getLogger("lm_eval")
    before = logger.level
    evaluate(answerable, engine)
    assert logger.level == before


@pytest.fixture
def run_stage(model: Path, answerable: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run the command into a directory of that name, with other arguments put after the usual ones; the directory."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TQDM_DISABLE", "1")

    def run(name: str, *others: str) -> Path:
        output = tmp_path / name
        arguments = {
            "--config": tmp_path / "config.yaml",
            "--generation": "g0",
            "--weights": model,
            "--suite": answerable.path,
            "--output": output / "eval.json",
            "--samples": output / "samples.jsonl",
            "--record": output / "eval.record.json",
        }
        words = [str(word) for pair in arguments.items() for word in pair]
        monkeypatch.setattr(sys, "argv", ["lamarck.eval", *words, *others])
        stage.main()
        return output

    return run


def test_two_runs_write_the_same_bytes(run_stage: Callable[..., Path], answerable: Suite, model: Path) -> None:
    once, again = run_stage("once"), run_stage("again")
    for name in ("eval.json", "samples.jsonl"):
        assert (once / name).read_bytes() == (again / name).read_bytes()
    result = json.loads((once / "eval.json").read_text())
    assert result["suite"] == {"name": answerable.name, "digest": suite_digest(answerable.path)}
    assert result["generation"] == "g0"
    record = read_record(once / "eval.record.json")
    files = {"eval": digest_file(once / "eval.json"), "samples": digest_file(once / "samples.jsonl")}
    assert record.digest == digest_value(files)
    assert record.inputs == {
        "model": model_digest(model, None),
        "suite": suite_digest(answerable.path),
        "engine": EngineConfig().digest(),
    }


def test_a_kill_leaves_no_scores_without_their_samples(
    run_stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = run_stage("killed")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_jsonl", killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage("killed")
    assert not (output / "eval.json").exists()


def test_a_missing_model_is_one_sentence(run_stage: Callable[..., Path]) -> None:
    for option in ("--weights", "--adapter"):
        with pytest.raises(LamarckError, match="nowhere does not exist: make g0 first"):
            run_stage("missing", option, "nowhere")
