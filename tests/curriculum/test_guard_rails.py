"""The guard-rails' measures say what they are called after, and a broken limit stops the run."""

import random
from typing import Any

import pytest

from lamarck.config.limits import Limit, broken_limits
from lamarck.config.section import check_section
from lamarck.config.strategy import Strategy
from lamarck.curriculum.guard_rails import distinct_ngrams, evenly, measure, vendi
from lamarck.curriculum.item import Item, ItemVerdict, Teacher, item_id
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.errors import LamarckError

WORDS = [f"word{number}" for number in range(300)]


def item(prompt: str, completion: str = "yes", difficulty: int = 1) -> Item:
    return Item(
        id=item_id("json_mode", prompt, completion),
        skill="json_mode",
        difficulty=difficulty,
        prompt=prompt,
        completion=completion,
        teacher=Teacher(generation="g0", digest="0"),
        verdict=ItemVerdict(verified=True, by="json_mode", score=1.0),
        strategy="0",
    )


def texts(number: int, seed: int, length: int = 20) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=length)) for _ in range(number)]


def measured(written: list[Item], **changes: Any) -> dict[str, float]:
    settings = {"replayed": [], "anchors": [], "earlier": [], "suites": {}, "acceptance": 0.5, "cells_asked": 2}
    return measure(written, **settings | changes)


def test_near_duplicates_and_novelty() -> None:
    own, old = texts(40, 1), texts(40, 2)
    # One word in twenty changed leaves nine tenths of the shingles.
    near = [text.rsplit(" ", 1)[0] + " other" for text in own[:10]]
    found = measured([item(text) for text in own + near + old[:5]], earlier=[[item(text) for text in old]])
    assert found["near_duplicates"] == pytest.approx(10 / 55)
    assert found["novelty"] == pytest.approx(50 / 55)


def test_vendi_is_the_number_of_different_texts() -> None:
    different = ["aaaaaa", "bbbbbb", "cccccc", "dddddd"]
    assert vendi(different) == pytest.approx(4)
    assert vendi(different * 5) == pytest.approx(4)
    assert vendi(["aaaaaa"] * 9) == pytest.approx(1)
    assert vendi(texts(50, 1, length=3)) > vendi(texts(50, 1, length=300))


def test_vendi_looks_at_the_last_cells_as_at_the_first() -> None:
    """Every second of 799 is every one: the first 400, which here are all alike."""
    items = [item("the same") for _ in range(400)] + [item(text) for text in texts(399, 1)]
    assert measured(items)["vendi"] > 3 > vendi([each.prompt for each in items[:400]])
    assert evenly("abcdef", 3) == ["a", "c", "e"]
    assert evenly("abc", 3) == "abc"


def test_coverage_lengths_vocabulary_and_talk() -> None:
    items = [item("one two", "yes no", difficulty) for difficulty in (1, 2)] + [item("three", "I'm sorry", 1)] * 2
    found = measured(items, replayed=[items[0]], cells_asked=4)
    assert found["vocabulary"] == 3
    assert 1 / 4 < found["coverage"] < 2 / 4
    assert (found["prompt_words"], found["completion_words"]) == (1.5, 2)
    assert found["boilerplate"] == 0.5
    assert (found["replayed"], found["acceptance"]) == (0.2, 0.5)


def test_overlap_with_every_suite() -> None:
    held_out, own = texts(5, 1), texts(5, 2)
    half = [f"{kept} {new}" for kept, new in zip(held_out, texts(5, 3, length=10), strict=True)]
    suites = {"v1": Contamination(held_out), "v2": Contamination(half[:1])}
    found = measured([item(text) for text in own + half], suites=suites)
    assert (found["overlap_v1"], found["overlap_v2"], found["overlap"]) == (0.5, 0.1, 0.5)


def test_distinct_ngrams() -> None:
    assert distinct_ngrams(["a b a b"], 1) == 0.5
    assert distinct_ngrams(["a b a b"], 2) == pytest.approx(2 / 3)
    assert distinct_ngrams([], 1) == 0.0


def test_a_limit_is_a_share_of_the_founders_own() -> None:
    limits = {"vendi": Limit(at_least=0.5), "boilerplate": Limit(at_most=2)}
    founder = {"vendi": 100.0, "boilerplate": 0.1}
    assert broken_limits(limits, {"vendi": 50.0, "boilerplate": 0.2}, founder) == []
    assert broken_limits(limits, {"vendi": 49.0, "boilerplate": 0.3}, founder) == [
        "vendi is 49, below 0.5 of the founder's 100",
        "boilerplate is 0.3, above 2 times the founder's 0.1",
    ]


@pytest.mark.parametrize("limits", [{"vendy": {"at_least": 1}}, {"vendi": {}}, {"vendi": {"at_least": -1}}])
def test_a_limit_on_nothing_is_refused(limits: dict[str, Any]) -> None:
    skills = {"json_mode": {"share": 1, "difficulties": [1]}}
    strategy = {"description": "", "skills": skills, "size": 1, "sampling": {"max_new_tokens": 1}, "limits": limits}
    with pytest.raises(LamarckError, match="limits"):
        check_section(strategy, Strategy, "test")
