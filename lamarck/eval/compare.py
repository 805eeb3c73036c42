"""Is this generation better than that one? Paired statistics over the items that both have answered. Light."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from lamarck.errors import LamarckError

RESAMPLES = 2000
SEED = 20260101
# Standard normal quantiles: .975 (two-sided 95%) and .8 (power), so that a true difference of their sum times the
# standard error is found four times in five (Bloom 1995, doi:10.1177/0193841X9501900504).
DETECTABLE = 1.959964 + 0.841621

# Below six differing items no exact test at 5% can decide (2 / 2**5 > .05), while a bootstrap of so few may seem to.
FEWEST_DIFFERING = 6

Verdict = Literal["better", "worse", "no difference shown"]


class Interval(BaseModel):
    """A 95% interval, in points of 0..100."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float


class Comparison(BaseModel):
    """`child` minus `parent`; every score is in points of 0..100."""

    model_config = ConfigDict(frozen=True)

    difference: float
    interval: Interval
    # Exact sign test over the items that differ, every item counting alike; for items that are right or wrong this is
    # McNemar's test.
    p_value: float
    child_ahead: int  # items on which the child scored higher: for right or wrong, those that it alone got right
    parent_ahead: int
    n: int
    tasks: dict[str, float]
    detectable: float | None  # smallest difference found with 80% power at this n; None when no outcome differs
    verdict: Verdict


class _Pairs(NamedTuple):
    """One task's paired outcomes. Scores of items are shares of 0..1; for a question of right or wrong, 0 or 1."""

    counts: dict[float, int]  # difference of an item's two scores -> how many items differ so

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    @property
    def difference(self) -> float:
        return sum(value * count for value, count in self.counts.items()) / self.n

    @property
    def variance(self) -> float:
        """Of `difference`."""
        if self.n == 1:
            return 0.0
        squares = sum(value**2 * count for value, count in self.counts.items())
        return max(0.0, squares - self.n * self.difference**2) / (self.n - 1) / self.n

    @property
    def child_ahead(self) -> int:
        return sum(count for value, count in self.counts.items() if value > 0)

    @property
    def parent_ahead(self) -> int:
        return sum(count for value, count in self.counts.items() if value < 0)


def compare(
    child: Sequence[Mapping[str, Any]], parent: Sequence[Mapping[str, Any]], weights: Mapping[str, float]
) -> Comparison:
    """Compare two lists of outcomes (the rows of samples.jsonl) under the suite's `weights`, task -> weight.

    The interval is a paired bootstrap stratified by task (Efron & Tibshirani 1993, chapters 8 and 13), seeded; the
    verdict follows from it. Errors: LamarckError when the two did not answer exactly the same items of every task.
    """
    pairs = _pair(_by_task(child, weights), _by_task(parent, weights))
    shares = _shares(weights)
    difference = sum(shares[task] * pair.difference for task, pair in pairs.items())
    child_ahead = sum(pair.child_ahead for pair in pairs.values())
    parent_ahead = sum(pair.parent_ahead for pair in pairs.values())
    bounds = _bootstrap(pairs, shares)
    error = math.sqrt(sum(shares[task] ** 2 * pair.variance for task, pair in pairs.items()))
    return Comparison(
        difference=_points(difference),
        interval=bounds,
        p_value=float(f"{mcnemar_p(child_ahead, parent_ahead):.4g}"),
        child_ahead=child_ahead,
        parent_ahead=parent_ahead,
        n=sum(pair.n for pair in pairs.values()),
        tasks={task: _points(pair.difference) for task, pair in sorted(pairs.items())},
        detectable=_points(DETECTABLE * error) if error else None,
        verdict=_verdict(bounds, child_ahead + parent_ahead),
    )


def interval(samples: Sequence[Mapping[str, Any]], weights: Mapping[str, float]) -> Interval:
    """95% bootstrap interval of one generation's score, stratified by task.

    Errors: LamarckError when a task of `weights` was not answered.
    """
    # One generation is compared with one that answers nothing: the differences are its own scores.
    own = {
        task: _Pairs(Counter(float(row["score"]) for row in rows.values()))
        for task, rows in _by_task(samples, weights).items()
    }
    return _bootstrap(own, _shares(weights))


def mcnemar_p(child_ahead: int, parent_ahead: int) -> float:
    """Two-sided exact p of McNemar's test (1947, doi:10.1007/BF02295996): a fair coin over the discordant items."""
    discordant = child_ahead + parent_ahead
    # Each binomial coefficient from the one before: computed afresh, those of thousands of items take a second.
    tail = coefficient = 1
    for wins in range(min(child_ahead, parent_ahead)):
        coefficient = coefficient * (discordant - wins) // (wins + 1)
        tail += coefficient
    return min(1.0, 2 * tail / (1 << discordant))


def _verdict(interval: Interval, differing: int) -> Verdict:
    if differing < FEWEST_DIFFERING:
        return "no difference shown"
    return "better" if interval.low > 0 else "worse" if interval.high < 0 else "no difference shown"


def _by_task(
    samples: Sequence[Mapping[str, Any]], weights: Mapping[str, float]
) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Task -> index -> outcome, for exactly the tasks of the suite."""
    found: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in samples:
        if row["index"] in found[row["task"]]:
            raise LamarckError(f"item {row['index']} of {row['task']} occurs twice in the outcomes")
        found[row["task"]][row["index"]] = row
    missing, unknown = sorted(weights.keys() - found.keys()), sorted(found.keys() - weights.keys())
    if missing:
        raise LamarckError(f"a partial evaluation cannot be compared: no outcomes for {', '.join(missing)}")
    if unknown:
        raise LamarckError(f"the outcomes are of another suite: it has no task {', '.join(unknown)}")
    return found


def _pair(
    child: Mapping[str, Mapping[int, Mapping[str, Any]]], parent: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> dict[str, _Pairs]:
    pairs = {}
    for task, ours in child.items():
        theirs = parent[task]
        if {index: _item(row) for index, row in ours.items()} != {index: _item(row) for index, row in theirs.items()}:
            raise LamarckError(f"the two did not answer the same items of {task}: evaluate both on the same suite")
        # Rounded, because thirds and quarters that mean the same must count as one value.
        pairs[task] = _Pairs(Counter(round(row["score"] - theirs[index]["score"], 9) for index, row in ours.items()))
    return pairs


def _item(row: Mapping[str, Any]) -> str:
    return str(row["item"])


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {task: weight / total for task, weight in weights.items()}


def _bootstrap(pairs: Mapping[str, _Pairs], shares: Mapping[str, float]) -> Interval:
    """Percentile interval of the weighted difference over `RESAMPLES` draws of the items, with replacement.

    Only how often each value occurs matters, and under resampling those counts are multinomial: drawing them is the
    same bootstrap, without touching an item.
    """
    import numpy as np  # a tenth of a second that a command without statistics must not pay

    generator = np.random.default_rng(SEED)
    total = np.zeros(RESAMPLES)
    for task, pair in sorted(pairs.items()):
        values = sorted(pair.counts)
        counts = generator.multinomial(pair.n, [pair.counts[value] / pair.n for value in values], RESAMPLES)
        total += shares[task] * (counts @ np.array(values)) / pair.n
    low, high = np.quantile(total, [0.025, 0.975])
    return Interval(low=_points(float(low)), high=_points(float(high)))


def _points(share: float) -> float:
    return round(100 * share, 6)
