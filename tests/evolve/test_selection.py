"""Selection: ranks as a library's, what luck cannot tell apart, and the four ways to choose parents."""

import random
from collections import Counter

import moocore
import numpy as np
import pytest

from lamarck.evolve.selection import (
    Entry,
    dominates,
    elites,
    front,
    lexicase,
    map_elites,
    pareto_uniform,
    ranks,
    scores,
    standing,
    survivors,
    weighted,
)

INFINITE = float("-inf")


@pytest.mark.parametrize("objectives", [1, 2, 3, 5])
def test_ranks_are_the_librarys(objectives: int) -> None:
    """Also with ties, of which small whole numbers make many."""
    rng = np.random.default_rng(objectives)
    for count in (1, 2, 7, 40):
        for values in (rng.normal(size=(count, objectives)), rng.integers(0, 3, size=(count, objectives)) * 1.0):
            found = ranks([tuple(row) for row in values.tolist()], [0.0] * objectives)
            assert found == moocore.pareto_rank(values, maximise=True).tolist()


def test_a_rank_by_one_objective_alone_is_not_the_librarys() -> None:
    values = np.random.default_rng(0).normal(size=(40, 2))
    by_first = np.argsort(np.argsort(-values[:, 0])).tolist()
    assert by_first != moocore.pareto_rank(values, maximise=True).tolist()


def test_luck_dominates_nobody() -> None:
    assert dominates((1.0, 1.0), (1.0, 0.9), (0.0, 0.0))
    assert not dominates((1.0, 1.0), (1.0, 0.9), (0.0, 0.2))
    assert not dominates((1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    assert not dominates((2.0, INFINITE), (1.0, 5.0), (0.1, 0.0))
    # Each of three beats the next where the other objective tells nothing: nobody is left out.
    assert ranks([(0.0, 1.5), (1.0, 0.0), (2.0, -1.5)], (0.5, 5.0)) == [2, 1, 0]


def test_the_simplest_stands_for_those_it_cannot_be_told_from() -> None:
    entries = [Entry("large", (1.05,), (9,)), Entry("small", (1.0,), (3,)), Entry("best", (2.0,), (20,))]
    assert standing(entries, (0.1,)) == {"small": "small", "large": "small", "best": "best"}
    assert [each.name for each in front(entries, (0.1,))] == ["best"]
    assert [each.name for each in front(entries[:2], (0.1,))] == ["small"]
    assert [each.name for each in front(entries[:2], (0.0,))] == ["large"]
    assert [each.name for each in survivors(entries, (0.1,), 5)] == ["best", "small"]
    assert standing([Entry("a", (INFINITE,), (1,)), Entry("b", (INFINITE,), (2,))], (0.0,))["b"] == "a"


def test_a_score_has_no_unit() -> None:
    """Bytes of memory weigh no more than bits per byte: the sources added raw units."""
    rows = [(1.0, 5e9), (3.0, 1e9), (2.0, 9e9)]
    assert scores(rows, (1, 1)) == [0.25, 0.5, 0.75]
    assert scores([(a, b * 1e-12) for a, b in rows], (1, 1)) == scores(rows, (1, 1))
    assert scores(rows, (1, 0)) == [0.0, 1.0, 0.5]
    assert scores([(1.0,)], (1,)) == [0.0]


ENTRIES = [Entry("fast", (1.0, 9.0)), Entry("good", (9.0, 1.0)), Entry("poor", (0.5, 0.5)), Entry("middle", (5.0, 5.0))]


def drawn(choose: object, count: int = 400) -> Counter[str]:
    rng = random.Random(0)
    return Counter(choose(rng).name for _ in range(count))  # type: ignore[operator]


def test_a_tournament_prefers_the_better_and_leaves_nobody_out() -> None:
    found = drawn(lambda rng: weighted(ENTRIES, (3, 1), rng))
    assert found["good"] > found["middle"] > found["poor"] > 0
    assert found["good"] == pytest.approx(400 * (1 - (3 / 4) ** 3), rel=0.15)


def test_the_front_is_drawn_from_uniformly() -> None:
    found = drawn(lambda rng: pareto_uniform(ENTRIES, (0, 0), rng))
    assert found.keys() == {"fast", "good", "middle"} and min(found.values()) > 100


def test_lexicase_keeps_specialists_and_nobody_else() -> None:
    """Within the median deviation of the best; plain lexicase would never take the one in the middle."""
    found = drawn(lambda rng: lexicase(ENTRIES, (0, 0), rng))
    assert found.keys() <= {"fast", "good", "middle"} and found["fast"] > 50 and found["good"] > 50
    never = [Entry("reached", (-5.0,)), Entry("not", (INFINITE,))]
    assert drawn(lambda rng: lexicase(never, (0,), rng)).keys() == {"reached"}


def test_every_niche_has_its_elite() -> None:
    entries = [
        Entry("first", (1.0,), (5,), (2,)),
        Entry("lucky", (1.05,), (6,), (2,)),
        Entry("simpler", (0.98,), (2,), (2,)),
        Entry("wide", (0.1,), (1,), (1,)),
    ]
    held = {niche: entry.name for niche, entry in elites(entries, (0.1,), 0).items()}
    assert held == {(2,): "simpler", (1,): "wide"}
    assert elites(entries, (0.0,), 0)[(2,)].name == "lucky"
    assert list(elites(entries, (0.1,), 1)) == [(2,)]
    found = drawn(lambda rng: map_elites(elites(entries, (0.1,), 0), rng))
    assert found.keys() == {"simpler", "wide"} and min(found.values()) > 150
