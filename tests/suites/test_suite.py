"""A suite is read whole and strictly: whatever is wrong with it is one sentence, before any model is loaded."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.suites.suite import JUDGING, check_scorers, held_out_prompts, load_suite, prompt_of


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(suite: Path) -> None:
        text = (suite / file).read_text()
        assert old in text
        (suite / file).write_text(text.replace(old, new, 1))

    return apply


def repeat_first_line(file: str, into: str | None = None) -> Callable[[Path], None]:
    def apply(suite: Path) -> None:
        first = (suite / file).read_text().splitlines(keepends=True)[0]
        with (suite / (into or file)).open("a") as other:
            other.write(first)

    return apply


def remove(file: str) -> Callable[[Path], None]:
    return lambda suite: (suite / file).unlink()


EASY, HARD = "arithmetic_2", "arithmetic_3"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (replace("suite.yaml", "weight:", "wieght: 2\n    weight:"), "unknown key 'tiers.sanity.wieght'"),
        (
            replace("suite.yaml", "weight: 1.0", "weight: 0"),
            "tiers.sanity.tasks.0.held_out.weight: Input should be greater than 0",
        ),
        (replace("suite.yaml", EASY, HARD), f"task name '{HARD}' occurs twice"),
        (replace(f"items/{EASY}.jsonl", '"target"', '"answer"'), f"{EASY}.jsonl line 1: "),
        (replace(f"items/{EASY}.jsonl", "}", ""), f"{EASY}.jsonl line 1 is not valid JSON"),
        (repeat_first_line(f"items/{EASY}.jsonl"), "occurs twice"),
        (repeat_first_line(f"items/{EASY}.jsonl", into=f"items/{HARD}.jsonl"), "occurs twice"),
        (repeat_first_line("corpus.jsonl"), "corpus.jsonl: line .* occurs twice"),
        (remove(f"items/{EASY}.jsonl"), f"{EASY}.jsonl does not exist"),
        (remove(f"tasks/{HARD}.yaml"), f"{HARD}.yaml does not exist"),
        (remove("tasks/corpus.yaml"), "corpus.yaml does not exist"),
        (remove("corpus.jsonl"), "corpus.jsonl does not exist"),
        (remove("suite.yaml"), "suite.yaml does not exist"),
        (replace(f"tasks/{EASY}.yaml", "max_gen_toks: ", "max_gen_toks: 1"), "max_gen_toks is 1"),
        (replace(f"tasks/{EASY}.yaml", f"items/{EASY}", f"items/{HARD}"), "must describe task"),
        (lambda suite: (suite / f"items/{EASY}.jsonl").write_text(""), "holds no item"),
        (
            replace("suite.yaml", "domain: general sanity", "domain: bioweapons"),
            "tiers.sanity.tasks.0.held_out.domain: Input",
        ),
        (replace("suite.yaml", "domain: curriculum design\n      skill", "skill"), "domain: Field required"),
        (replace("suite.yaml", "kind: trace", "kind: guess"), "Input tag 'guess'"),
        (replace("suite.yaml", "        half: 1.0\n", ""), "points.trace must give the rungs form, half, whole"),
        (replace("suite.yaml", "        values: 1.0", "        values: 0"), "points of which one is above 0"),
        (replace("suite.yaml", "lamarck: '3'", "lamarck: '1'"), "lamarck 1 has none, and every later one needs them"),
    ],
)
def test_damage_is_one_sentence(suite_copy: Path, damage: Callable[[Path], None], sentence: str) -> None:
    load_suite(suite_copy)
    damage(suite_copy)
    with pytest.raises(LamarckError, match=sentence) as caught:
        load_suite(suite_copy)
    assert "\n" not in str(caught.value)


def test_held_out_prompts_are_those_of_the_items_and_of_the_corpus(suite_copy: Path) -> None:
    prompts = held_out_prompts(load_suite(suite_copy))
    item = json.loads((suite_copy / "items" / f"{EASY}.jsonl").read_text().splitlines()[0])
    line = json.loads((suite_copy / "corpus.jsonl").read_text().splitlines()[0])["text"]
    assert item["prompt"] in prompts
    assert prompt_of(line) in prompts
    assert prompt_of(line).endswith(" =>")
    assert line.startswith(prompt_of(line) + " ")


def test_reading_a_suite_is_light() -> None:
    modules = "lamarck.suites.suite, lamarck.eval.compare"
    check = f"import sys, {modules}; print({{'torch', 'lm_eval', 'numpy'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"


def test_a_suite_frozen_for_another_way_of_judging_is_not_evaluated() -> None:
    """v1r2 runs answers and names how; tiny-v1 runs none, so it need not."""
    suites = Path(__file__).parents[2] / "config/suites"
    check_scorers(load_suite(suites / "tiny-v1"))
    judged = load_suite(suites / "v1r2")
    check_scorers(judged)
    with pytest.raises(LamarckError, match=f"evaluate on a suite that names judging {JUDGING}"):
        check_scorers(dataclasses.replace(judged, scorers={**judged.scorers, "judging": "1"}))
