"""Copies are found, boilerplate is not one; near duplicates are found at the similarity that is stated."""

import random
from functools import cache
from pathlib import Path

import pytest
from rensa import RMinHash, RMinHashLSH

from lamarck.curriculum.near_duplicates import SIMILAR, Near, shingles
from lamarck.curriculum.suite_overlap import Contamination, contaminations, grams, kept_out
from lamarck.errors import LamarckError
from lamarck.skills import get_skill
from lamarck.suites.suite import load_suite
from tests.curriculum.copies import copies_of, is_copy

# Of each skill a difficulty at which problems have much in common.
CELLS = [
    ("json_mode", 3),
    ("arithmetic", 5),
    ("list_ops", 4),
    ("json_schema", 2),
    ("python_code", 1),
    ("math_word", 4),
    ("curriculum_design", 1),
    ("ml_diagnosis", 2),
    *(("plain_record", 4), ("plain_steps", 3), ("plain_sums", 2)),
]


class EightGrams:
    """A wrong screen: boilerplate counts like all else, other words count not at all."""

    def __init__(self, held_out: list[str]) -> None:
        self._prompts = set(held_out)
        self._grams = {gram for prompt in held_out for gram in grams(prompt)}

    def copied(self, skill: str, prompt: str) -> bool:
        runs = [start for start, gram in enumerate(grams(prompt)) if gram in self._grams]
        covered = {place for start in runs for place in range(start, start + 8)}
        return prompt in self._prompts or len(covered) > len(prompt.split()) / 2


@cache
def drawn(skill: str, difficulty: int, seed: int, number: int) -> list[str]:
    rng = random.Random(seed)
    return [get_skill(skill).sample(rng, difficulty).prompt for _ in range(number)]


def for_nothing(screen: Contamination | EightGrams, cell: tuple[str, int], held_out: list[str]) -> float:
    """Share of independent problems that are refused and are no copies."""
    fresh = drawn(*cell, 2, 200)
    refused = [prompt for prompt in fresh if screen.copied(cell[0], prompt)]
    return sum(not any(is_copy(cell[0], prompt, each) for each in held_out) for prompt in refused) / len(fresh)


def found(screen: Contamination | EightGrams, skill: str, held_out: list[str]) -> dict[str, float]:
    """How it was copied -> share of the copies that are refused."""
    rng = random.Random(3)
    made = [copies_of(skill, prompt, rng) for prompt in held_out]
    return {how: sum(bool(screen.copied(skill, copy[how])) for copy in made) / len(made) for how in made[0]}


@pytest.mark.parametrize("cell", CELLS, ids=[skill for skill, _ in CELLS])
def test_copies_are_refused_and_other_problems_are_not(cell: tuple[str, int]) -> None:
    held_out = drawn(*cell, 1, 60)
    screen = Contamination(held_out)
    assert for_nothing(screen, cell, held_out) <= 0.01
    assert all(share >= 0.99 for share in found(screen, cell[0], held_out).values())


@pytest.mark.parametrize("cell", CELLS, ids=[skill for skill, _ in CELLS])
def test_copies_in_another_order_or_under_other_names_are_the_problem_that_they_copy(cell: tuple[str, int]) -> None:
    """What keeps the test above honest: a child could be trained on them."""
    skill, difficulty = cell
    rng = random.Random(4)
    for prompt in drawn(*cell, 1, 20):
        ways = copies_of(skill, prompt, rng)
        assert {get_skill(skill).difficulty(ways[how]) for how in ("order", "names") if how in ways} <= {difficulty}


def test_runs_of_eight_words_find_boilerplate_and_miss_copies() -> None:
    schema, record = drawn("json_schema", 2, 1, 60), drawn("json_mode", 3, 1, 60)
    assert for_nothing(EightGrams(schema), ("json_schema", 2), schema) > 0.5
    assert for_nothing(EightGrams(drawn("arithmetic", 5, 1, 300)), ("arithmetic", 5), []) > 0.02
    shares = found(EightGrams(record), "json_mode", record)
    assert shares["as it is"] == 1
    assert shares["case"] < 0.5 and shares["order"] < 0.5


def test_most_of_what_varies_in_one_problem_is_a_copy() -> None:
    fields = [f"{key} {number} ;" for number, key in enumerate("name age city pet color tree".split())]
    screen = Contamination([f"<j6> {' '.join(fields)} =>", "<j1> code 7 ; =>"])
    assert screen.copied("json_mode", f"<j6> {' '.join(fields[:5])} code 7 ; =>")
    assert not screen.copied("json_mode", f"<j6> {' '.join(fields[:4])} code 7 ; team 1 ; =>")
    # What stands in two held-out problems stands in neither.
    assert not screen.copied("json_mode", f"<j5> {' '.join(fields[:4])} code 7 ; =>")
    overlap = screen.copied("json_mode", f"<j6> {' '.join(reversed(fields))} =>")
    assert overlap and overlap.by == "varies" and overlap.share == 1
    with pytest.raises(LamarckError, match="there is no skill"):
        screen.copied("jsonmode", "<j1> code 8 ; =>")


def test_what_no_skill_can_read_is_looked_for_as_runs_of_words() -> None:
    screen = Contamination(["a b c", "1 2 3 4 5 6 7 8 9 10"])
    assert screen.copied("math_word", "A  b\tC")
    assert not screen.copied("math_word", "a b d")
    assert screen.copied("math_word", "x 1 2 3 4 5 6 7 8 y")
    assert not screen.copied("math_word", "1 2 3 4 5 6 7 8 " + "x " * 9)


class Estimated(Near):
    """A wrong filter: it believes an estimate of 128 hashes, which is as often too low as too high."""

    def __init__(self) -> None:
        self._index = RMinHashLSH(threshold=SIMILAR, num_perm=128, num_bands=16)
        self._hashes: list[RMinHash] = []

    def add(self, text: str) -> None:
        self._index.insert(len(self._hashes), self._hashed(text))
        self._hashes.append(self._hashed(text))

    def matches(self, text: str) -> list[int]:
        hashed = self._hashed(text)
        return [number for number in self._index.query(hashed) if hashed.jaccard(self._hashes[number]) >= SIMILAR]

    def _hashed(self, text: str) -> RMinHash:
        hashed = RMinHash(num_perm=128, seed=1)
        hashed.update(sorted(set(shingles(text))))
        return hashed


def pair(rng: random.Random, shared: int) -> tuple[str, str]:
    """Two texts of 90 runs of characters each, of which they share so many."""
    text = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=94))
    other = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=90 - shared))
    return text, text[: shared + 4] + other


def share_found(filter_: type[Near], shared: int) -> float:
    rng = random.Random(5)
    near = 0
    for one, other in (pair(rng, shared) for _ in range(300)):
        index = filter_()
        index.add(one)
        near += bool(index.matches(other))
    return near / 300


def test_near_duplicates_are_found_at_the_stated_similarity() -> None:
    assert share_found(Near, 80) >= 0.99  # 80 of 100
    assert share_found(Near, 79) == 0
    assert share_found(Estimated, 80) < 0.7


def test_near_duplicates_have_their_numbers() -> None:
    one, other = pair(random.Random(6), 80)
    index = Near()
    for text in ("something else", one, other):
        index.add(text)
    assert sorted(index.matches(one)) == [1, 2]
    assert index.size == 3


def test_the_problems_of_every_suite_are_kept_out() -> None:
    """Also of exams and of others' suites: a limit on their share would break at the first chance copy."""
    suites = Path(__file__).parents[2] / "config/suites"
    barred = kept_out(contaminations(suites / "tiny-v2"))
    for name, task in (("tiny-v2", "json_mode_6"), ("tiny-exam-v1", "json_mode_5"), ("tiny-v1", "json_mode_6")):
        assert all(barred.copied("json_mode", item.prompt) for item in load_suite(suites / name).items[task][:20]), name
