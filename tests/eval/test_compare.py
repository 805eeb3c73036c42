"""Paired statistics against scipy, against a bootstrap that really draws items, and against figures worked by hand."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from lamarck.errors import LamarckError
from lamarck.eval.compare import DETECTABLE, compare, interval, mcnemar_p

Rows = list[dict[str, Any]]


def rows(outcomes: dict[str, list[float]]) -> Rows:
    """Task -> outcome (0 or 1) of each item, as samples.jsonl holds them."""
    return [
        {
            "task": task,
            "index": index,
            "item": f"{task} {index}",
            "answer": "",
            "score": float(value),
        }
        for task, values in outcomes.items()
        for index, value in enumerate(values)
    ]


def drawn(seed: int, shares: dict[str, float], n: int = 150) -> Rows:
    generator = np.random.default_rng(seed)
    return rows({task: (generator.random(n) < share).astype(int).tolist() for task, share in shares.items()})


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 0), (6, 0), (12, 3), (7, 7), (8, 7), (200, 260)])
def test_mcnemar_is_the_exact_binomial_test(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar_p(wins, losses) == pytest.approx(expected, rel=1e-9)


def test_a_tiny_p_value_is_not_rounded_to_nothing() -> None:
    assert compare(rows({"a": [1] * 100}), rows({"a": [0] * 100}), {"a": 1.0}).p_value == pytest.approx(
        2 / 2**100, rel=1e-3
    )


def test_difference_is_weighted_by_task() -> None:
    child, parent = rows({"a": [1, 1, 1, 1], "b": [0, 0]}), rows({"a": [1, 0, 0, 0], "b": [1, 0]})
    found = compare(child, parent, {"a": 1.0, "b": 3.0})
    assert found.tasks == {"a": 75.0, "b": -50.0}
    assert found.difference == pytest.approx((75 - 3 * 50) / 4)
    assert (found.child_ahead, found.parent_ahead, found.n) == (3, 1, 6)


def test_detectable_difference_by_hand() -> None:
    # 100 items, 30 won and 10 lost: mean .2, variance (40 - 100 * .04) / 99.
    child, parent = rows({"a": [1] * 30 + [0] * 70}), rows({"a": [0] * 30 + [1] * 10 + [0] * 60})
    expected = 100 * DETECTABLE * math.sqrt((40 - 100 * 0.2**2) / 99 / 100)
    assert compare(child, parent, {"a": 1.0}).detectable == pytest.approx(expected, abs=1e-5)


def test_interval_agrees_with_a_bootstrap_that_draws_items() -> None:
    weights = {"a": 1.0, "b": 2.0}
    child, parent = drawn(1, {"a": 0.7, "b": 0.5}), drawn(2, {"a": 0.5, "b": 0.45})
    generator = np.random.default_rng(0)
    totals = np.zeros(20_000)
    for task, weight in weights.items():
        gains = np.array([r["score"] for r in child if r["task"] == task], dtype=float)
        gains -= np.array([r["score"] for r in parent if r["task"] == task], dtype=float)
        totals += weight / 3 * gains[generator.integers(0, len(gains), (20_000, len(gains)))].mean(axis=1)
    low, high = 100 * np.quantile(totals, [0.025, 0.975])
    found = compare(child, parent, weights).interval
    # 2,000 resamples place a bound to about a tenth of the standard error, which is 4 points here.
    assert found.low == pytest.approx(low, abs=0.8)
    assert found.high == pytest.approx(high, abs=0.8)


def test_interval_of_one_generation_is_the_binomial_one() -> None:
    found = interval(rows({"a": [1] * 120 + [0] * 80}), {"a": 1.0})
    error = 100 * math.sqrt(0.6 * 0.4 / 200)
    assert found.low == pytest.approx(60 - 1.96 * error, abs=0.8)
    assert found.high == pytest.approx(60 + 1.96 * error, abs=0.8)


def test_verdicts() -> None:
    strong, weak = drawn(3, {"a": 0.8}), drawn(4, {"a": 0.4})
    weights = {"a": 1.0}
    assert compare(strong, weak, weights).verdict == "better"
    assert compare(weak, strong, weights).verdict == "worse"
    same = compare(strong, strong, weights)
    assert (same.verdict, same.p_value, same.detectable) == ("no difference shown", 1.0, None)


def test_a_handful_of_wins_decides_nothing() -> None:
    """Five wins in 200 items bring the bootstrap's lower bound above zero, but p is .0625."""
    found = compare(rows({"a": [1] * 5 + [0] * 195}), rows({"a": [0] * 200}), {"a": 1.0})
    assert found.interval.low > 0
    assert (found.verdict, found.p_value) == ("no difference shown", 0.0625)


def test_the_same_samples_give_the_same_bytes() -> None:
    child, parent = drawn(5, {"a": 0.6, "b": 0.5}), drawn(6, {"a": 0.5, "b": 0.5})
    once, again = (compare(order, parent, {"b": 1.0, "a": 1.0}) for order in (child, child[::-1]))
    assert once.model_dump_json() == again.model_dump_json()


def test_refuses_partial_and_foreign_outcomes() -> None:
    whole = rows({"a": [1, 0], "b": [1, 0]})
    with pytest.raises(LamarckError, match=r"partial .* no outcomes for b"):
        compare(rows({"a": [1, 0]}), whole, {"a": 1.0, "b": 1.0})
    with pytest.raises(LamarckError, match=r"another suite.* b"):
        compare(whole, whole, {"a": 1.0})
    with pytest.raises(LamarckError, match="same items of b"):
        compare(whole, rows({"a": [1, 0], "b": [1]}), {"a": 1.0, "b": 1.0})
    other = [{**row, "item": "another"} for row in whole]
    with pytest.raises(LamarckError, match="same items of a"):
        compare(whole, other, {"a": 1.0, "b": 1.0})
    with pytest.raises(LamarckError, match="item 0 of a occurs twice"):
        compare(whole + whole, whole, {"a": 1.0, "b": 1.0})
    with pytest.raises(LamarckError, match="no outcomes for b"):
        interval(rows({"a": [1, 0]}), {"a": 1.0, "b": 1.0})
