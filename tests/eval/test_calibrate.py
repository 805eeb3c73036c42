"""Who has none of the skills scores nothing, who knows everything scores everything, and what could not run is no
number."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lamarck.commands.suite import show_calibration
from lamarck.engine.rule import RuleEngine
from lamarck.eval.calibrate import BEGIN, COMPOSED, END, calibrate, cells, floor_sentences, write_table
from lamarck.eval.degenerate import Degenerate, degenerates
from lamarck.eval.engineering_tier import run_engineering
from lamarck.suites.build import build_suite
from lamarck.suites.designs import POINTS, Design
from lamarck.suites.outlook import outlook
from lamarck.suites.suite import ENGINEERING, Suite, load_suite
from tests.suites.small import WORLD

SUITES = Path(__file__).parents[2] / "config/suites"
NOTHING = Degenerate("says nothing", lambda prompt, rng: "")
TASKS = {"me": {"b": 3.0, "a": 1.0}, "rule": {"a": 2.0}}
NAMES = "every step's name with the input list"


@pytest.fixture(scope="module")
def tiny() -> Suite:
    return load_suite(SUITES / "tiny-v1")


def with_points(suite: Suite) -> Suite:
    engineering = suite.tiers.engineering.model_copy(update={"points": POINTS})
    return replace(suite, tiers=suite.tiers.model_copy(update={"engineering": engineering}))


def engineering(suite: Suite, *names: str) -> float | None:
    """What the tier gives to who answers as the first of these that says anything."""
    answers = [each.answer for each in degenerates(suite) if each.name in names]
    assert len(answers) == len(names)
    engine = RuleEngine(lambda prompt, rng: max((answer(prompt, rng) for answer in answers), key=len))
    return run_engineering(suite, engine).score(suite.weights[ENGINEERING])


@pytest.mark.parametrize(
    ("names", "each_rung_alone", "in_order"),
    [
        (("`{}`",), 11.1, 0),
        (("`{}`", NAMES), 22.4, 0.4),
        (("one right problem a cell, over and over",), 25.2, 0.7),
    ],
)
def test_rungs_count_in_order(tiny: Suite, names: tuple[str, ...], each_rung_alone: float, in_order: float) -> None:
    """tiny-v1 gave points for form alone, and goes on doing so."""
    assert engineering(tiny, *names) == pytest.approx(each_rung_alone, abs=0.05)
    found = engineering(with_points(tiny), *names)
    assert found is not None
    assert found < in_order + 0.05


@pytest.fixture(scope="module")
def short(suite: Suite) -> Suite:
    """The suite, its teacher writing little."""
    teaching = suite.tiers.teaching.model_copy(update={"samples": 10})
    return replace(suite, tiers=suite.tiers.model_copy(update={"teaching": teaching}))


def test_floor_and_ceiling(short: Suite, model: Path) -> None:
    wanted = {"says nothing", "`{}`", "the best constant for each task", "every step as rev", "every step as srt"}
    found = calibrate(short, model, [each for each in degenerates(short) if each.name in wanted])
    scores = dict(found.rows)
    assert found.errors == {}
    assert scores["says nothing"] == {"sanity": 0, "engineering": 0, "teaching": 0}
    assert scores["knows"]["sanity"] == scores["knows"]["engineering"] == 100
    assert found.floors == {
        "sanity": "the best constant for each task",
        "engineering": COMPOSED,
        "teaching": "says nothing",
    }
    floor = scores[COMPOSED]
    assert set(found.tasks) == {COMPOSED, "knows"}
    assert (
        found.tasks["knows"].keys()
        >= found.tasks[COMPOSED].keys()
        == {*short.weights["sanity"], *short.weights["engineering"], *short.weights["teaching"]}
    )
    best = max(scores[name]["engineering"] or 0 for name in wanted)
    assert (floor["engineering"] or 0) > best > 0
    assert floor["score"] == pytest.approx(0.2 * (floor["sanity"] or 0) + 0.5 * (floor["engineering"] or 0))
    assert any(f"by: {COMPOSED}" in sentence for sentence in floor_sentences(found))


def test_a_missing_student_is_said_and_no_zero(suite: Suite, tmp_path: Path) -> None:
    found = calibrate(suite, tmp_path / "nowhere", [NOTHING])
    scores = dict(found.rows)
    assert scores["says nothing"]["teaching"] is scores["knows"]["teaching"] is scores["knows"]["score"] is None
    assert "score" not in scores[COMPOSED]
    assert "teaching" not in found.floors
    assert all("the suite's student is not in" in why for why in found.errors.values())
    assert found.errors.keys() == suite.weights["teaching"].keys()


def test_the_command_asks_everyone_and_writes_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong: a list that not everybody stands in, and a README that says another floor than the program does."""
    for name in ("OMP_NUM_THREADS", "TQDM_DISABLE", "TRANSFORMERS_VERBOSITY"):
        monkeypatch.setenv(name, "1")  # as they were again afterwards, whatever the command makes of them
    cells = {"json_mode": (2,), "arithmetic": (2,), "list_ops": (3,)}
    suite = build_suite(tmp_path / "few", 7, WORLD, Design(cells, items=20, samples=5))
    nobody, config = tmp_path / "nowhere", SUITES.parent / "default.yaml"
    show_calibration(str(suite.path), nobody, [], config, write=True, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert {each.name for each in degenerates(suite)} | {COMPOSED, "knows"} == said["points"].keys()
    assert said["points"]["knows"]["engineering"] == 100 and "teaching" not in said["floors"]
    assert said["errors"].keys() == suite.weights["teaching"].keys()
    readme = (suite.path / "README.md").read_text()
    for tier, name in said["floors"].items():
        assert f"- Floor of {tier}: {said['points'][name][tier]:.1f}, by: {name}.\n" in readme


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    scores = {"sanity": 1.0, "engineering": None, "teaching": 3.25, "score": None}
    write_table(
        tmp_path, [("me", scores), ("rule", {"engineering": 2.0})], ["floor of engineering: 2.0, by: rule"], TASKS
    )
    text = readme.read_text()
    assert "| | me | rule |\n|---|---|---|\n| a | 1.0 | 2.0 |\n| b | 3.0 |  |\n" in text
    assert "| me | 1.0 | not run | 3.2 | not run |" in text
    assert "| rule |  | 2.0 |  |  |" in text
    assert "\n- Floor of engineering: 2.0, by: rule.\n" in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    readme.write_text("alone\n")
    write_table(tmp_path, [("me", scores)], [], {})
    assert readme.read_text().startswith(f"alone\n\n{BEGIN}\n")
    assert cells({"sanity": 1.25}) == ["1.2", "", "", ""]


def test_the_outlook_counts_every_question(suite: Suite) -> None:
    found = outlook(suite, tokens_per_second=100, dollars_per_hour=2)
    of_student = 2 * sum(len(suite.items[task.name]) for task in suite.tiers.teaching.tasks)
    assert sum(ask.questions for ask in found.asks) == suite.questions - of_student
    assert found.tokens == sum(ask.questions * ask.answer_tokens for ask in found.asks)
    assert found.dollars == pytest.approx(2 * found.tokens / 100 / 3600)


def test_the_outlook_of_v1_has_all_its_benchmarks() -> None:
    found = outlook(load_suite(SUITES / "v1r2"), 1000, 6)
    questions = {ask.task: ask.questions for ask in found.asks}
    assert questions["gsm8k"] == 1319
    assert questions["humaneval_plus"] == 164
    assert questions["training_loop"] == 15
    assert sum(number for task, number in questions.items() if task.startswith("write_json_schema")) == 500
