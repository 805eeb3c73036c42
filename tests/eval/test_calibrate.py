"""Saying nothing gets nothing, knowing everything gets everything, and what could not run is no number."""

from pathlib import Path

import pytest

from lamarck.eval.calibrate import BEGIN, END, calibrate, write_table
from lamarck.suites.outlook import outlook
from lamarck.suites.suite import Suite, load_suite


def test_floor_and_ceiling(suite: Suite, model: Path) -> None:
    rows, errors = calibrate(suite, model)
    scores = dict(rows)
    assert errors == {}
    assert scores["says nothing"] == {"sanity": 0, "engineering": 0, "teaching": 0, "score": 0}
    assert scores["knows"]["sanity"] == scores["knows"]["engineering"] == 100
    guessed = scores["guesses"]["engineering"]
    assert guessed is not None
    assert 0 < guessed < 50


def test_a_missing_student_is_said_and_no_zero(suite: Suite, tmp_path: Path) -> None:
    rows, errors = calibrate(suite, tmp_path / "nowhere")
    assert {scores["teaching"] for _, scores in rows} == {scores["score"] for _, scores in rows} == {None}
    assert all("the suite's student is not in" in why for why in errors.values())
    assert errors.keys() == suite.weights["teaching"].keys()


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    scores = {"sanity": 1.0, "engineering": None, "teaching": 3.25, "score": None}
    write_table(tmp_path, [("me", scores)])
    text = readme.read_text()
    assert "| me | 1.0 | not run | 3.2 | not run |" in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    readme.write_text("alone\n")
    write_table(tmp_path, [("me", scores)])
    assert readme.read_text().startswith(f"alone\n\n{BEGIN}\n")


def test_the_outlook_counts_every_question(suite: Suite) -> None:
    found = outlook(suite, tokens_per_second=100, dollars_per_hour=2)
    of_student = 2 * sum(len(suite.items[task.name]) for task in suite.tiers.teaching.tasks)
    assert sum(ask.questions for ask in found.asks) == suite.questions - of_student
    assert found.tokens == sum(ask.questions * ask.answer_tokens for ask in found.asks)
    assert found.dollars == pytest.approx(2 * found.tokens / 100 / 3600)


def test_the_outlook_of_v1_has_all_its_benchmarks() -> None:
    found = outlook(load_suite(Path(__file__).parents[2] / "config/suites/v1r2"), 1000, 6)
    questions = {ask.task: ask.questions for ask in found.asks}
    assert questions["gsm8k"] == 1319
    assert questions["humaneval_plus"] == 164
    assert questions["training_loop"] == 15
    assert sum(number for task, number in questions.items() if task.startswith("write_json_schema")) == 500
