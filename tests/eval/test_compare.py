"""Paired statistics against scipy, against draws that touch every item, and against figures worked by hand."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from benchmarks.statistics import simulate
from lamarck.errors import LamarckError
from lamarck.eval.compare import DETECTABLE, LEAST, NO_DIFFERENCE, compare, compare_differences
from lamarck.eval.interval import DIFFERENCES, RESAMPLES, interval
from lamarck.report.table import comparison_sentences


@cache
def v1() -> simulate.Shape:
    return simulate.shape(Path("config/suites/v1r2"))


@cache
def tiny_v3() -> simulate.Shape:
    return simulate.shape(Path("config/suites/tiny-v3"))


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


def right_or_wrong(gained: int, lost: int, n: int) -> list[float]:
    """Differences of a task's `n` items."""
    return [1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (6, 0), (12, 3), (7, 7), (8, 7), (200, 230)])
def test_p_of_one_task_is_mcnemars(gained: int, lost: int) -> None:
    """Where all differences are of one size, the sign-flip test is the exact binomial test of McNemar (1947)."""
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    found = compare_differences({"a": right_or_wrong(gained, lost, 500)}, {"a": 1.0}).p_value
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / RESAMPLES) + 1e-4)


def test_p_agrees_with_a_sign_flip_of_every_item() -> None:
    weights = {"a": 1.0, "b": 3.0}
    child, parent = drawn(1, {"a": 0.6, "b": 0.55}), drawn(2, {"a": 0.55, "b": 0.5})
    signed = {
        task: np.array([c["score"] - p["score"] for c, p in zip(child, parent, strict=True) if c["task"] == task])
        for task in weights
    }
    items = np.concatenate([weights[task] / 4 * values / len(values) for task, values in signed.items()])
    flips = np.random.default_rng(0).choice([-1, 1], (20_000, len(items))) @ items
    expected = (np.abs(flips) >= abs(items.sum()) - 1e-12).mean()
    assert 0.01 < expected < 0.99
    assert compare(child, parent, weights).p_value == pytest.approx(expected, abs=0.02)


def test_p_belongs_to_the_difference_that_is_shown() -> None:
    """Many light items lost, few heavy ones gained: a test that counts items answers for the other side, p 2e-10."""
    differences = {"light": right_or_wrong(100, 230, 1000), "heavy": right_or_wrong(15, 3, 100)}
    found = compare_differences(differences, {"light": 0.5, "heavy": 0.95})
    assert found.difference > 3
    counted = binomtest(found.child_ahead, found.child_ahead + found.parent_ahead)
    assert counted.pvalue < 1e-6 and found.child_ahead < found.parent_ahead
    assert found.p_value > 0.01
    flipped = compare_differences(
        {task: [-each for each in v] for task, v in differences.items()}, {"light": 0.5, "heavy": 0.95}
    )
    assert flipped.p_value == pytest.approx(found.p_value, abs=0.005)


def test_engineering_tasks_of_one_item_vary_as_their_kind_does() -> None:
    """Five tasks won and three lost of fifty showed +2.0 [2.0, 2.0], better: half of the score had no variance."""
    suite = v1()
    differences = {task: [0.0] * items for task, (items, _) in suite.tasks.items()}
    engineering = sorted(suite.kinds)
    for task in engineering[:5]:
        differences[task] = [1.0]
    for task in engineering[20:23]:
        differences[task] = [-1.0]
    found = compare_differences(differences, suite.weights, suite.kinds)
    assert (found.verdict, found.child_ahead, found.parent_ahead) == (NO_DIFFERENCE, 5, 3)
    assert found.interval.low < 0 < found.difference < found.interval.high
    assert found.p_value > 0.3
    # A suite that does not name kinds has its single items taken together.
    assert compare_differences(differences, suite.weights).interval.low < 0


def test_kinds_vary_less_than_all_tasks_taken_together() -> None:
    """Every task of one kind gained, none of the other: within kinds there is less to doubt."""
    differences = {f"a{n}": [1.0] for n in range(10)} | {f"b{n}": [0.0] for n in range(10)}
    weights, kinds = dict.fromkeys(differences, 1.0), {task: task[0] for task in differences}
    within, together = (compare_differences(differences, weights, each).interval for each in (kinds, None))
    assert within.high - within.low < 0.6 * (together.high - together.low)


@pytest.mark.parametrize("right", [0, 100])
def test_all_wrong_or_all_right_leaves_doubt(right: int) -> None:
    """0 of 100 had an interval of width zero. Jeffreys' interval is the reference."""
    found = interval(rows({"a": [1] * right + [0] * (100 - right)}), {"a": 1.0})
    low, high = 100 * beta.ppf([0.025, 0.975], right + 0.5, 100 - right + 0.5)
    assert found.low == pytest.approx(low if right else 0.0, abs=0.1)
    assert found.high == pytest.approx(high if not right else 100.0, abs=0.1)


def test_p_of_next_to_nothing_is_the_least_that_can_be_drawn() -> None:
    found = compare(rows({"a": [1] * 100}), rows({"a": [0] * 100}), {"a": 1.0})
    assert found.p_value == pytest.approx(1 / (1 + RESAMPLES), rel=1e-3)


def test_difference_is_weighted_by_task() -> None:
    child, parent = rows({"a": [1, 1, 1, 1], "b": [0, 0]}), rows({"a": [1, 0, 0, 0], "b": [1, 0]})
    found = compare(child, parent, {"a": 1.0, "b": 3.0})
    assert found.tasks == {"a": 75.0, "b": -50.0}
    assert found.difference == pytest.approx((75 - 3 * 50) / 4)
    assert (found.child_ahead, found.parent_ahead, found.n) == (3, 1, 6)


def test_detectable_difference_by_hand() -> None:
    # 100 items, 30 won and 10 lost, which count as 98, and .38 of an item won and of one lost.
    child, parent = rows({"a": [1] * 30 + [0] * 70}), rows({"a": [0] * 30 + [1] * 10 + [0] * 60})
    assert DIFFERENCES.pseudo == 0.38
    number = 98 + 2 * 0.38
    variance = (40 * 0.98 + 2 * 0.38) / number - (20 * 0.98 / number) ** 2
    expected = 100 * DETECTABLE * math.sqrt(variance / (number + 1))
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
    # The standard error is 4 points here.
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
    assert (same.verdict, same.p_value) == (NO_DIFFERENCE, 1.0)
    # That no item of 150 differs does not show that none would.
    assert same.interval.low < 0 < same.interval.high and same.detectable > 0


def test_a_handful_of_wins_decides_nothing() -> None:
    """Five wins in 200 items bring a bootstrap's lower bound above zero, but p is .0625: the interval holds zero."""
    found = compare(rows({"a": [1] * 5 + [0] * 195}), rows({"a": [0] * 200}), {"a": 1.0})
    assert (found.verdict, found.interval.low) == (NO_DIFFERENCE, 0.0)
    assert found.p_value == pytest.approx(0.0625, abs=0.01)
    six = compare(rows({"a": [1] * 6 + [0] * 194}), rows({"a": [0] * 200}), {"a": 1.0})
    assert (six.verdict, six.interval.low > 0) == ("better", True)


def test_whether_the_interval_holds_zero_the_test_decides() -> None:
    """Wrong: a verdict only where the bootstrap leaves zero out as well, so that p and verdict disagree."""
    suite, generator = tiny_v3(), np.random.default_rng(simulate.SEED)
    pairs = [simulate.differences(suite, 0.02, 0.7, generator)[0] for _ in range(40)]
    found = [compare_differences(each, suite.weights, suite.kinds, 400) for each in pairs]
    for each in found:
        shown = each.p_value <= 0.05
        assert (each.verdict != NO_DIFFERENCE) == shown == (not each.interval.low <= 0 <= each.interval.high)
        assert each.interval.low <= each.difference <= each.interval.high
    assert any(each.interval.low == LEAST for each in found), "the bootstrap alone held zero"


def test_the_interval_holds_a_difference_that_rests_on_a_hundred_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tenths of tiny-v3 are what a student answers to a hundred questions. Where one of two generations is better
    and 2% of the items differ, an interval with a tenth of an item at either end held 88% of the differences."""
    found = simulate.pairs(tiny_v3(), 0.02, 0.7, 200, resamples=200)
    assert found.covered >= 0.94 - two_errors(200)
    monkeypatch.setattr("lamarck.eval.compare.DIFFERENCES", DIFFERENCES._replace(pseudo=0.1))
    assert simulate.pairs(tiny_v3(), 0.02, 0.7, 200, resamples=200).covered < 0.94 - two_errors(200)


def plain_bootstrap(differences: dict[str, list[float]], weights: dict[str, float]) -> bool:
    """Wrong: a verdict wherever a bootstrap of the items within each task leaves zero out (by its own variance)."""
    tasks = {task: np.array(values) for task, values in differences.items()}
    total = sum(weights[task] * values.mean() for task, values in tasks.items())
    variance = sum(weights[task] ** 2 * values.var() / len(values) for task, values in tasks.items())
    return bool(abs(total) > 1.96 * math.sqrt(variance))


def two_errors(simulations: int) -> float:
    return 2 * math.sqrt(0.05 * 0.95 / simulations)


def test_errors_on_a_shipped_suite_where_few_items_differ() -> None:
    """A slice of `python -m benchmarks.statistics`: 4% of the items of v1 differ."""
    none, better = (simulate.pairs(v1(), 0.04, gain, 100, resamples=500) for gain in (0.5, 0.7))
    assert none.verdicts <= 0.06 + two_errors(100)
    assert min(none.covered, better.covered) >= 0.94 - two_errors(100)
    generator = np.random.default_rng(simulate.SEED)
    drawn = [simulate.differences(v1(), 0.04, 0.5, generator)[0] for _ in range(300)]
    assert sum(plain_bootstrap(each, v1().weights) for each in drawn) / 300 > 0.06 + two_errors(300)


@pytest.mark.parametrize("name", ["tiny-v2", "small-v1", "small-exam-v1"])
def test_errors_on_the_suites_with_points(name: str) -> None:
    """A small slice of the same: items score what their points say."""
    suite = simulate.shape(Path("config/suites") / name)
    levels = {levels for _, levels in suite.tasks.values()}
    assert levels == {(0.0, 1.0), (0.0, 0.5 if name == "tiny-v2" else 0.25, 1.0)}
    none = simulate.pairs(suite, 0.1, 0.5, 60, resamples=300)
    assert none.verdicts <= 0.06 + two_errors(60)
    assert none.covered >= 0.94 - two_errors(60)
    assert simulate.scores(suite, 0.2, 40, resamples=300) >= 0.94 - two_errors(40)


def test_the_interval_of_a_score_holds_it_also_near_zero() -> None:
    for solved in (0.02, 0.5):
        assert simulate.scores(v1(), solved, 40, resamples=500) >= 0.94 - two_errors(40)


def test_the_same_samples_give_the_same_bytes() -> None:
    child, parent = drawn(5, {"a": 0.6, "b": 0.5}), drawn(6, {"a": 0.5, "b": 0.5})
    once, again = (compare(order, parent, {"b": 1.0, "a": 1.0}) for order in (child, child[::-1]))
    assert once.model_dump_json() == again.model_dump_json()


def test_refuses_partial_and_foreign_outcomes() -> None:
    whole = rows({"a": [1, 0], "b": [1, 0]})
    with pytest.raises(LamarckError, match=r"partial .* no outcomes for b"):
        compare(rows({"a": [1, 0]}), whole, {"a": 1.0, "b": 1.0})
    # Wrong: to call what was measured with another suite partial.
    for weights in ({"a": 1.0}, {"c": 1.0}):
        with pytest.raises(LamarckError, match=r"another suite.* no task [ab]: .*--configfile"):
            compare(whole, whole, weights)
    with pytest.raises(LamarckError, match="same items of b"):
        compare(whole, rows({"a": [1, 0], "b": [1]}), {"a": 1.0, "b": 1.0})
    other = [{**row, "item": "another"} for row in whole]
    with pytest.raises(LamarckError, match="same items of a"):
        compare(whole, other, {"a": 1.0, "b": 1.0})
    with pytest.raises(LamarckError, match="item 0 of a occurs twice"):
        compare(whole + whole, whole, {"a": 1.0, "b": 1.0})
    with pytest.raises(LamarckError, match="no outcomes for b"):
        interval(rows({"a": [1, 0]}), {"a": 1.0, "b": 1.0})


def test_it_says_what_kind_of_claim_it_is() -> None:
    found = compare(*(rows({"a": [1] * right + [0] * (100 - right)}) for right in (60, 50)), {"a": 1.0})
    said = " ".join(comparison_sentences(found))
    assert "10 items gained, 0 lost" in said and said.count("p = ") == 1
    assert f"a true difference of {found.detectable:.1f} points would be found four times in five" in said
    assert "this is about these two models: what a recipe or strategy is worth takes several seeds" in said
