"""Is this generation better than that one? Paired statistics over the items that both have answered. Light."""

import math
from collections import defaultdict
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
    p_value: float  # McNemar's exact test over the pooled outcomes, every item counting alike
    only_child: int  # items that the child alone answered rightly
    only_parent: int
    n: int
    tasks: dict[str, float]
    detectable: float | None  # smallest difference found with 80% power at this n; None when no outcome differs
    verdict: Verdict


class _Pairs(NamedTuple):
    """Counts of one task's paired outcomes."""

    n: int
    only_child: int
    only_parent: int

    @property
    def difference(self) -> float:
        return (self.only_child - self.only_parent) / self.n

    @property
    def variance(self) -> float:
        """Of `difference`: the differences of single items are -1, 0 or 1."""
        if self.n == 1:
            return 0.0
        spread = self.only_child + self.only_parent - self.n * self.difference**2
        return spread / (self.n - 1) / self.n


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
    only_child = sum(pair.only_child for pair in pairs.values())
    only_parent = sum(pair.only_parent for pair in pairs.values())
    bounds = _bootstrap(pairs, shares)
    error = math.sqrt(sum(shares[task] ** 2 * pair.variance for task, pair in pairs.items()))
    return Comparison(
        difference=_points(difference),
        interval=bounds,
        p_value=float(f"{mcnemar_p(only_child, only_parent):.4g}"),
        only_child=only_child,
        only_parent=only_parent,
        n=sum(pair.n for pair in pairs.values()),
        tasks={task: _points(pair.difference) for task, pair in sorted(pairs.items())},
        detectable=_points(DETECTABLE * error) if error else None,
        verdict=_verdict(bounds, only_child + only_parent),
    )


def interval(samples: Sequence[Mapping[str, Any]], weights: Mapping[str, float]) -> Interval:
    """95% bootstrap interval of one generation's score, stratified by task.

    Errors: LamarckError when a task of `weights` was not answered.
    """
    # One generation is compared with one that answers nothing: the same counts, with nothing lost.
    right = {
        task: _Pairs(len(rows), sum(bool(row["correct"]) for row in rows.values()), 0)
        for task, rows in _by_task(samples, weights).items()
    }
    return _bootstrap(right, _shares(weights))


def mcnemar_p(only_child: int, only_parent: int) -> float:
    """Two-sided exact p of McNemar's test (1947, doi:10.1007/BF02295996): a fair coin over the discordant items."""
    discordant = only_child + only_parent
    tail = sum(math.comb(discordant, wins) for wins in range(min(only_child, only_parent) + 1))
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
        outcomes = [(bool(row["correct"]), bool(theirs[index]["correct"])) for index, row in ours.items()]
        pairs[task] = _Pairs(len(outcomes), outcomes.count((True, False)), outcomes.count((False, True)))
    return pairs


def _item(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["prompt"], row["target"]


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {task: weight / total for task, weight in weights.items()}


def _bootstrap(pairs: Mapping[str, _Pairs], shares: Mapping[str, float]) -> Interval:
    """Percentile interval of the weighted difference over `RESAMPLES` draws of the items, with replacement.

    Only the counts of the three outcomes matter, and under resampling they are multinomial: drawing the counts is
    the same bootstrap, without touching an item.
    """
    import numpy as np  # a tenth of a second that a command without statistics must not pay

    generator = np.random.default_rng(SEED)
    total = np.zeros(RESAMPLES)
    for task, pair in sorted(pairs.items()):
        tied = pair.n - pair.only_child - pair.only_parent
        counts = generator.multinomial(
            pair.n, [pair.only_child / pair.n, pair.only_parent / pair.n, tied / pair.n], RESAMPLES
        )
        total += shares[task] * (counts[:, 0] - counts[:, 1]) / pair.n
    low, high = np.quantile(total, [0.025, 0.975])
    return Interval(low=_points(float(low)), high=_points(float(high)))


def _points(share: float) -> float:
    return round(100 * share, 6)
