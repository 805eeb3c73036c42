"""The three tiers make one score, errors are never zeros, and two runs write the same bytes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.engine.hf import HFEngine
from lamarck.errors import LamarckError
from lamarck.eval import __main__ as stage
from lamarck.eval.compare import compare
from lamarck.eval.run import evaluate
from lamarck.files import digest_file, digest_value
from lamarck.lineage.digest import model_digest, suite_digest, weights_digest
from lamarck.lineage.records import read_record
from lamarck.suites.suite import Suite, suite_weights

CONFIG = """
generations: 1
founder: {kind: tiny, skills: {list_ops: {share: 1, weights: [1]}}}
strategy: unused
suite: unused
recipe: {}
budget: {device_seconds: 10}
"""


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return load_engine(HFEngineConfig(batch_size=64), model, None)


@pytest.fixture(scope="module")
def result(suite: Suite, engine: Engine, model: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return evaluate(suite, engine, model)


def test_the_score_is_the_weighted_mean_of_the_tiers(result: tuple[dict[str, Any], list[Any]], suite: Suite) -> None:
    scores, samples = result
    assert scores["partial"] is False
    assert "errors" not in scores
    expected = 0.0
    for tier, weight in (("sanity", 0.2), ("engineering", 0.5), ("teaching", 0.3)):
        weights = suite.weights[tier]
        mean = sum(weights[task] * scores["tasks"][task]["score"] for task in weights) / sum(weights.values())
        assert scores["tiers"][tier]["weight"] == weight
        assert scores["tiers"][tier]["score"] == pytest.approx(mean, abs=1e-5)
        assert {figures["tier"] for task, figures in scores["tasks"].items() if task in weights} == {tier}
        expected += weight * mean
    assert scores["score"] == pytest.approx(expected, abs=1e-5)
    keys = [(row["task"], row["index"]) for row in samples]
    assert keys == sorted(keys)
    assert len(keys) == len(set(keys))


def test_the_shares_that_compare_uses_give_the_same_score(result: tuple[dict[str, Any], Any], suite: Suite) -> None:
    scores, samples = result
    shares = suite_weights(suite.path)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(shares[task] * figures["score"] for task, figures in scores["tasks"].items()) == pytest.approx(
        scores["score"], abs=1e-4
    )
    perfect = [row | {"score": 1.0} for row in samples]
    found = compare(perfect, samples, shares)
    assert found.difference == pytest.approx(100 - scores["score"], abs=1e-4)
    assert found.verdict == "better"


def test_a_students_training_that_fails_is_an_error_and_no_zero(suite: Suite, engine: Engine, tmp_path: Path) -> None:
    scores, samples = evaluate(suite, engine, tmp_path)
    assert (scores["partial"], scores["score"], scores["tiers"]["teaching"]["score"]) == (True, None, None)
    assert scores["errors"].keys() == suite.weights["teaching"].keys()
    assert scores["tiers"]["sanity"]["score"] is not None
    assert not {row["task"] for row in samples} & suite.weights["teaching"].keys()


@pytest.fixture
def run_stage(model: Path, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
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
            "--suite": suite.path,
            "--student": model,
            "--output": output / "eval.json",
            "--samples": output / "samples.jsonl",
            "--record": output / "eval.record.json",
            "--answers": output / "eval.answers.jsonl",
        }
        words = [str(word) for pair in arguments.items() for word in pair]
        monkeypatch.setattr(sys, "argv", ["lamarck.eval", *words, *others])
        stage.main()
        return output

    return run


def test_two_runs_write_the_same_bytes(run_stage: Callable[..., Path], suite: Suite, model: Path) -> None:
    once, again = run_stage("once"), run_stage("again")
    assert not (once / "eval.answers.jsonl").exists()
    for name in ("eval.json", "samples.jsonl"):
        assert (once / name).read_bytes() == (again / name).read_bytes()
    result = json.loads((once / "eval.json").read_text())
    assert result["suite"] == {"name": suite.name, "digest": suite_digest(suite.path)}
    assert result["generation"] == "g0"
    record = read_record(once / "eval.record.json")
    files = {"eval": digest_file(once / "eval.json"), "samples": digest_file(once / "samples.jsonl")}
    assert record.digest == digest_value(files)
    assert record.inputs == {
        "model": model_digest(model, None),
        "student": weights_digest(model),
        "suite": suite_digest(suite.path),
        "engine": HFEngineConfig().digest(),
    }


def test_a_kill_leaves_no_scores_without_their_samples_and_no_question_is_asked_twice(
    run_stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = run_stage("killed")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_together", killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage("killed")
    assert (output / "eval.json").exists()  # the old one, whose samples are there too

    def asked(*_: object, **__: object) -> list[str]:
        raise AssertionError("a question was asked again")

    answers = output / "eval.answers.jsonl"
    answers.write_text(answers.read_text() + '["half a li')
    monkeypatch.undo()
    before = (output / "samples.jsonl").read_bytes()
    monkeypatch.setattr(HFEngine, "loglikelihoods", asked)
    run_stage("killed")
    assert (output / "samples.jsonl").read_bytes() == before
    assert json.loads((output / "eval.json").read_text())["partial"] is False


def test_a_missing_model_is_one_sentence(run_stage: Callable[..., Path]) -> None:
    for option in ("--weights", "--change", "--student"):
        with pytest.raises(LamarckError, match="nowhere does not exist: make it with"):
            run_stage("missing", option, "nowhere")
