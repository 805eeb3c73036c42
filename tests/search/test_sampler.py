"""CMA-ES from the ledgers alone: the same again, within the ranges, towards what is better."""

import sys

import numpy as np
import pytest

from lamarck.errors import LamarckError
from lamarck.search.propose import Result, propose
from lamarck.search.sampler import centre, sample
from lamarck.search.space import Choice, Integer, Number, Space, Value
from tests.search.test_rounds import load, project  # noqa: F401

SPACE: Space = {
    "a": Number(kind="number", low=0, high=1),
    "b": Number(kind="number", low=1, high=100, log=True),
    "c": Integer(kind="integer", low=0, high=9),
    "d": Choice(kind="choice", of=("x", "y")),
}
COUNT = {"kind": "integer", "low": 1, "high": 9}


def number(value: Value) -> float:
    assert isinstance(value, int | float)
    return value


def test_it_moves_to_what_is_better_and_stays_in_range() -> None:
    told: list[list[float]] = []
    distances = []
    for _ in range(8):
        made = sample(SPACE, 1, 11, told, {"a": 0, "b": 1, "c": 0, "d": "y"})
        assert made == sample(SPACE, 1, 11, told, {"a": 0, "b": 1, "c": 0, "d": "y"})
        assert all(0 <= number(each["a"]) <= 1 and 1 <= number(each["b"]) <= 100 for each in made)
        assert all(each["c"] in range(10) and each["d"] in ("x", "y") for each in made)
        far = [abs(number(each["a"]) - 0.9) + abs(np.log10(number(each["b"])) / 2 - 0.2) for each in made]
        distances.append(sum(far) / len(far))
        told.append([-each for each in far])
    assert distances[-1] < distances[0] / 3
    found = centre(SPACE, 1, 11, told, {"a": 0, "b": 1, "c": 0, "d": "y"})
    assert abs(number(found["a"]) - 0.9) < 0.2 and found["d"] == "y"


def test_what_could_not_be_raised_counts_as_worse_than_all_others() -> None:
    """As a zero it would be the best of scores that are below the baseline."""
    made = sample(SPACE, 2, 11, [], None)
    low = [None if number(each["a"]) > 0.5 else -5.0 - number(each["a"]) for each in made]
    after = sample(SPACE, 2, 11, [low, low], None)
    assert sum(number(each["a"]) for each in after) < sum(number(each["a"]) for each in made)


def test_numpys_own_draws_stay_as_they_are() -> None:
    np.random.seed(5)
    wanted = np.random.random(3).tolist()
    np.random.seed(5)
    sample(SPACE, 1, 11, [[1.0] * 11], None)
    assert np.random.random(3).tolist() == wanted


def test_a_round_takes_the_leader_along_and_asks_for_the_rest() -> None:
    space = {key: value.model_dump() for key, value in (("size", Integer(kind="integer", low=3000, high=9000)),)}
    space["writing_share"] = {"kind": "number", "low": 0.1, "high": 1}
    search = load(proposer="cma", space=space)
    first = propose(search.file, [])
    assert [each.name for each in first] == ["r1-c01", "r1-c02", "r1-c03", "r1-c04"]
    results = {each.name: Result(each, float(n == 2), 2) for n, each in enumerate(first) if n != 3}
    second = propose(search.file, [results])
    assert second[0] == first[2] and [each.name for each in second[1:]] == ["r2-c02", "r2-c03", "r2-c04"]
    # The leader's second result, however bad, changes nothing of what the first round was told.
    again = {second[0].name: Result(second[0], -99.0, 2)} | {each.name: Result(each, 0.0, 2) for each in second[1:]}
    third = propose(search.file, [results, again])
    other = again | {second[0].name: Result(second[0], 99.0, 2)}
    assert [dict(each.values) for each in third[1:]] == [
        dict(each.values) for each in propose(search.file, [results, other])[1:]
    ]
    assert {each.how for each in second[1:]} == {"sampled"} and second == propose(search.file, [results])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"candidates": 4}, "cma is for two numbers or more"),
        ({"candidates": 3, "space": {"size": COUNT, "examples": dict(COUNT)}}, "fewer than three new ones"),
    ],
)
def test_what_it_cannot_sample_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        load(proposer="cma", **changes)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(LamarckError, match=r"pip install -r envs/search.txt"):
        sample(SPACE, 1, 11, [], None)
