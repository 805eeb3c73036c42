"""Is this generation better than that one? Paired statistics over the items that both have answered. Light.

The p value belongs to the difference that is shown: a sign-flip test of the weighted difference itself (Fisher 1935,
section 21; Romano 1990, doi:10.1080/01621459.1990.10474928). Where neither is better, an item's difference is as likely
to be positive as negative, whatever its size: so the signs are drawn again, and p is the share of draws in which the
difference is at least as far from zero. At zero the test decides whether the interval (eval/interval.py) holds it: the
test is exact there, the interval is not. `python -m benchmarks.statistics` simulates what both are worth.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from lamarck.errors import LamarckError
from lamarck.eval.interval import (
    DIFFERENCES,
    RESAMPLES,
    SEED,
    Interval,
    Stratum,
    bootstrap,
    in_points,
    outcomes_by_task,
    standard_error,
    strata_of,
)
from lamarck.lineage.contents import Scores

SIGNIFICANT = 0.05
# Standard normal quantiles: .975 (two-sided 95%) and .8 (power), so that a true difference of their sum times the
# standard error is found four times in five (Bloom 1995, doi:10.1177/0193841X9501900504).
DETECTABLE = 1.959964 + 0.841621

LEAST = 1e-6  # points: the last digit that is written

NO_DIFFERENCE: Final = "no difference shown"
Verdict = Literal["better", "worse", "no difference shown"]


class Comparison(BaseModel):
    """`child` minus `parent`; every score is in points of 0..100."""

    model_config = ConfigDict(frozen=True)

    difference: float
    interval: Interval  # holds zero exactly where the verdict is that no difference was shown
    p_value: float  # two-sided, of `difference` being zero: weighted sign-flip test; 1 / (RESAMPLES + 1) at the least
    child_ahead: int  # items on which the child scored higher: for right or wrong, those that it alone got right
    parent_ahead: int
    n: int
    tasks: dict[str, float]
    detectable: float  # smallest true difference that is found four times in five by this many items that vary so
    verdict: Verdict


def check_same_ruler(ours: Scores, theirs: Scores) -> None:
    """Errors: LamarckError where two evaluations were made on different suites, by different rules, or with
    different students: their scores are lengths on different rulers."""
    for part in ("suite", "scoring", "student"):
        if getattr(ours, part) != getattr(theirs, part):
            raise LamarckError(
                f"{ours.generation} and {theirs.generation} were measured with different rulers ({part}), so "
                "their scores do not compare: evaluate both again with this code"
            )


def compare(
    child: Sequence[Mapping[str, Any]],
    parent: Sequence[Mapping[str, Any]],
    weights: Mapping[str, float],
    kinds: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare two lists of outcomes (the rows of samples.jsonl) under the suite's `weights`, task -> weight.

    `kinds`: the kind of those tasks that are a single item drawn from one; what they show is how the kind varies.
    A difference is shown where p is at most .05; the interval is widened to zero where it is not, and ends short of
    zero where it is. Errors: LamarckError when the two did not answer the same items of every task.
    """
    return compare_differences(
        _pair(outcomes_by_task(child, weights), outcomes_by_task(parent, weights)), weights, kinds
    )


def compare_differences(
    differences: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    kinds: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """The same from each task's paired differences, -1..1 an item: what is simulated, each time with another `seed`."""
    strata = strata_of(differences, weights, kinds or {})
    difference = sum(stratum.part for stratum in strata)
    p_value = _sign_flip_p(strata, difference, resamples, seed)
    bounds = bootstrap(strata, difference, DIFFERENCES, resamples, seed)
    if p_value > SIGNIFICANT:
        bounds = Interval(low=min(bounds.low, 0.0), high=max(bounds.high, 0.0))
    elif difference > 0:
        bounds = Interval(low=max(bounds.low, LEAST), high=bounds.high)
    else:
        bounds = Interval(low=bounds.low, high=min(bounds.high, -LEAST))
    every = [value for values in differences.values() for value in values]
    return Comparison(
        difference=in_points(difference),
        interval=bounds,
        p_value=float(f"{p_value:.4g}"),
        child_ahead=sum(value > 0 for value in every),
        parent_ahead=sum(value < 0 for value in every),
        n=len(every),
        tasks={task: in_points(sum(values) / len(values)) for task, values in sorted(differences.items())},
        detectable=in_points(DETECTABLE * standard_error(strata, DIFFERENCES)),
        verdict="better" if bounds.low > 0 else "worse" if bounds.high < 0 else NO_DIFFERENCE,
    )


def _pair(
    child: Mapping[str, Mapping[int, Mapping[str, Any]]], parent: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> dict[str, list[float]]:
    """Task -> difference of each item's two scores."""
    differences = {}
    for task, ours in child.items():
        theirs = parent[task]
        if {index: _item(row) for index, row in ours.items()} != {index: _item(row) for index, row in theirs.items()}:
            raise LamarckError(f"the two did not answer the same items of {task}: evaluate both on the same suite")
        # Rounded, because thirds and quarters that mean the same must count as one value.
        differences[task] = [round(row["score"] - theirs[index]["score"], 9) for index, row in ours.items()]
    return differences


def _item(row: Mapping[str, Any]) -> str:
    return str(row["item"])


@lru_cache(maxsize=1024)  # a page shows the same comparison more than once
def _sign_flip_p(strata: tuple[Stratum, ...], difference: float, resamples: int, seed: int) -> float:
    """Two-sided p of the weighted difference: how often random signs bring it as far from zero.

    Only how many of the differences of one size turn positive matters, and that is binomial: drawing it is the same
    test, without touching an item.
    """
    import numpy as np  # a tenth of a second that a command without statistics must not pay

    sizes: Counter[float] = Counter()
    for stratum in strata:
        for (share, value), count in stratum.counts:
            sizes[round(abs(share * value), 12)] += count if value else 0
    generator = np.random.default_rng(seed)
    drawn = np.zeros(resamples)
    for size, count in sorted(sizes.items()):
        if count:
            drawn += size * (2 * generator.binomial(count, 0.5, resamples) - count)
    # What means the same must tie, whatever the last digits of the sums.
    as_far = int((np.abs(drawn) >= abs(difference) - 1e-9).sum())
    return (1 + as_far) / (1 + resamples)
