"""Values are drawn, changed and handed down within their ranges, and the same way every time."""

import random
import statistics

import pytest

from lamarck.search.space import Choice, Integer, Number, Space, Values, cross, draw, mutate, nested

SPACE: Space = {
    "a": Number(kind="number", low=1, high=100, log=True),
    "b": Integer(kind="integer", low=0, high=3),
    "c": Choice(kind="choice", of=("x", "y")),
}


def within(values: Values) -> bool:
    a, b = values["a"], values["b"]
    assert isinstance(a, float) and isinstance(b, int)
    return 1 <= a <= 100 and 0 <= b <= 3 and values["c"] in ("x", "y")


def test_draws_and_changes_stay_in_range_and_every_change_changes_something() -> None:
    rng = random.Random(1)
    values = draw(SPACE, rng)
    for _ in range(500):
        changed = mutate(SPACE, values, rng)
        assert within(changed) and changed != values
        values = changed


def test_ratios_are_drawn_evenly() -> None:
    """Drawn by differences, half of the values would lie above 50."""
    rng = random.Random(1)
    values = [SPACE["a"].draw(rng) for _ in range(2000)]
    assert 8 < statistics.median(value for value in values if isinstance(value, float)) < 12.5


def test_a_child_of_two_has_every_key_from_one_of_them() -> None:
    first, second = {"a": 1.0, "b": 0, "c": "x"}, {"a": 2.0, "b": 1, "c": "y"}
    children = [cross(first, second, random.Random(seed)) for seed in range(50)]
    assert all(child[name] in (first[name], second[name]) for child in children for name in child)
    assert len({tuple(child.values()) for child in children}) == 8


def test_places_are_nested() -> None:
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"low": 2, "high": 2}, "a range runs from a lower to a higher value"),
        ({"low": 0, "high": 2, "log": True}, "ratios need a range above zero"),
    ],
)
def test_impossible_ranges_are_refused(values: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Number(kind="number", **values)  # type: ignore[arg-type]
