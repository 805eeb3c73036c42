"""Is this generation better than that one? Paired statistics over the items that both have answered. Light.

The p value belongs to the difference that is shown: a sign-flip test of the weighted difference itself (Fisher 1935,
section 21; Romano 1990, doi:10.1080/01621459.1990.10474928). Where neither is better, an item's difference is as likely
to be positive as negative, whatever its size: so the signs are drawn again, and p is the share of draws in which the
difference is at least as far from zero. The interval resamples items within strata by the Bayesian bootstrap
(Rubin 1981, doi:10.1214/aos/1176345338), with a small part of an item added at either end of the
scale: where nothing was seen to vary, something still may. At zero the test decides whether the interval holds it: the
test is exact there, the interval is not. `python -m benchmarks.statistics` simulates what both are worth.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from lamarck.errors import LamarckError
from lamarck.lineage.contents import Scores

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 20_000
SEED = 20260101
SIGNIFICANT = 0.05
# Standard normal quantiles: .975 (two-sided 95%) and .8 (power), so that a true difference of their sum times the
# standard error is found four times in five (Bloom 1995, doi:10.1177/0193841X9501900504).
DETECTABLE = 1.959964 + 0.841621

LEAST = 1e-6  # points: the last digit that is written
NOTHING = 1e-12  # of an item: what weighs less changes no digit that is shown

NO_DIFFERENCE: Final = "no difference shown"
Verdict = Literal["better", "worse", "no difference shown"]


class _Scale(NamedTuple):
    """What an item's value lies between, and the part of an item added at either end, for the suite as a whole."""

    low: float
    high: float
    pseudo: float


SCORES = _Scale(0.0, 1.0, 0.5)  # as Jeffreys' prior has it
# Of two children of one house few items differ. Chosen by simulation of pairs of which 2 to 20% of the items differ, on
# suites of which three tenths rest on a hundred items: less, and 95% intervals hold the difference too seldom.
DIFFERENCES = _Scale(-1.0, 1.0, 0.38)


class Interval(BaseModel):
    """A 95% interval, in points of 0..100."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float


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


class _Stratum(NamedTuple):
    """Items that could stand for one another: those of a task, or the tasks of a kind that have one item each.

    `counts`: (share of the suite's score that the item decides, its value in 0..1 or its difference in -1..1), items.
    """

    counts: tuple[tuple[tuple[float, float], int], ...]

    @property
    def n(self) -> int:
        return sum(count for _, count in self.counts)

    @property
    def share(self) -> float:
        return sum(share * count for (share, _), count in self.counts)

    @property
    def part(self) -> float:
        """What it adds to the suite's score or difference."""
        return sum(share * value * count for (share, value), count in self.counts)


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
    return compare_differences(_pair(_by_task(child, weights), _by_task(parent, weights)), weights, kinds)


def compare_differences(
    differences: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    kinds: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """The same from each task's paired differences, -1..1 an item: what is simulated, each time with another `seed`."""
    strata = _strata(differences, weights, kinds or {})
    difference = sum(stratum.part for stratum in strata)
    p_value = _sign_flip_p(strata, difference, resamples, seed)
    bounds = _bootstrap(strata, difference, DIFFERENCES, resamples, seed)
    if p_value > SIGNIFICANT:
        bounds = Interval(low=min(bounds.low, 0.0), high=max(bounds.high, 0.0))
    elif difference > 0:
        bounds = Interval(low=max(bounds.low, LEAST), high=bounds.high)
    else:
        bounds = Interval(low=bounds.low, high=min(bounds.high, -LEAST))
    every = [value for values in differences.values() for value in values]
    return Comparison(
        difference=_points(difference),
        interval=bounds,
        p_value=float(f"{p_value:.4g}"),
        child_ahead=sum(value > 0 for value in every),
        parent_ahead=sum(value < 0 for value in every),
        n=len(every),
        tasks={task: _points(sum(values) / len(values)) for task, values in sorted(differences.items())},
        detectable=_points(DETECTABLE * _error(strata, DIFFERENCES)),
        verdict="better" if bounds.low > 0 else "worse" if bounds.high < 0 else NO_DIFFERENCE,
    )


def interval(
    samples: Sequence[Mapping[str, Any]], weights: Mapping[str, float], kinds: Mapping[str, str] | None = None
) -> Interval:
    """95% interval of one generation's score; `weights` and `kinds` as in `compare`.

    Errors: LamarckError when a task of `weights` was not answered.
    """
    found = _by_task(samples, weights)
    scores = {task: [float(row["score"]) for row in rows.values()] for task, rows in found.items()}
    return score_interval(scores, weights, kinds)


def score_interval(
    scores: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    kinds: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """The same from each task's scores, 0..1 an item."""
    strata = _strata(scores, weights, kinds or {})
    return _bootstrap(strata, sum(stratum.part for stratum in strata), SCORES, resamples, seed)


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


def _strata(
    values: Mapping[str, Sequence[float]], weights: Mapping[str, float], kinds: Mapping[str, str]
) -> tuple[_Stratum, ...]:
    """What may be drawn for what. A stratum of one item shows no variance: such items are taken together."""
    total = sum(weights.values())
    counts: dict[tuple[bool, str], Counter[tuple[float, float]]] = defaultdict(Counter)
    for task, items in values.items():
        share = weights[task] / total / len(items)
        counts[task in kinds, kinds.get(task, task)].update((share, value) for value in items)
    alone = [name for name, items in counts.items() if items.total() == 1]
    if len(alone) > 1:
        counts[True, ""] = sum((counts.pop(name) for name in alone), Counter())
    return tuple(_Stratum(tuple(sorted(items.items()))) for _, items in sorted(counts.items()))


@lru_cache(maxsize=1024)  # a page shows the same comparison more than once
def _sign_flip_p(strata: tuple[_Stratum, ...], difference: float, resamples: int, seed: int) -> float:
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


@lru_cache(maxsize=1024)
def _bootstrap(strata: tuple[_Stratum, ...], estimate: float, scale: _Scale, resamples: int, seed: int) -> Interval:
    """Quantiles of the score or difference over `resamples` draws of how much each item weighs in its stratum.

    Items of one stratum that are alike are drawn together: sums of exponential variables are gamma variables.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    total = np.zeros(resamples)
    for stratum, pseudo in zip(strata, _pseudo(strata, scale), strict=True):
        total += stratum.share * _drawn_means(generator, stratum, pseudo, scale, resamples)
    # Weibull's: what lies beyond it has just that probability, however few the draws.
    low, high = np.quantile(total, [0.025, 0.975], method="weibull")
    # What is added at the ends draws a score of 0 or 100 inwards: what was seen lies within its own interval.
    return Interval(low=_points(min(float(low), estimate)), high=_points(max(float(high), estimate)))


def _drawn_means(
    generator: "np.random.Generator", stratum: _Stratum, pseudo: float, scale: _Scale, resamples: int
) -> "np.ndarray":
    """The stratum's weighed mean in each resample, shape (resamples,).

    Where all items are alike, only those resamples differ in which an end of the scale weighs something.
    """
    import numpy as np

    *seen, low, high = _smoothed(stratum, pseudo, scale)
    ends = [(share, value, *_small_gamma(generator, count, resamples)) for share, value, count in (low, high)]
    alike = len(seen) == 1
    drawn = np.union1d(ends[0][2], ends[1][2]) if alike else np.arange(resamples)
    weighed, sums = np.zeros(resamples), np.zeros(resamples)
    for share, value, count in seen:
        weights = share * generator.standard_gamma(count, len(drawn))
        weighed[drawn] += weights
        sums[drawn] += value * weights
    for share, value, places, weights in ends:
        weighed[places] += share * weights
        sums[places] += value * share * weights
    means = np.full(resamples, seen[0][1] if alike else 0.0)
    means[drawn] = sums[drawn] / weighed[drawn]
    return means


def _small_gamma(generator: "np.random.Generator", shape: float, resamples: int) -> tuple["np.ndarray", "np.ndarray"]:
    """Places and sizes of the draws of a gamma variable of a shape below 1 that are above 1e-12 of their usual size.

    A gamma variable of shape a is one of shape a + 1 times U^(1/a) (Stuart 1962,
    doi:10.1111/j.2517-6161.1962.tb00476.x): for a small shape that is nearly always nothing, and needs no drawing.
    """
    import numpy as np

    uniform = generator.random(resamples)
    places = np.flatnonzero(uniform < -math.expm1(shape * math.log(NOTHING)))
    logarithms = np.log1p(-uniform[places]) / shape
    return places, generator.standard_gamma(shape + 1, len(places)) * np.exp(logarithms)


def _error(strata: Sequence[_Stratum], scale: _Scale) -> float:
    """Standard deviation of what `_bootstrap` draws."""
    variance = 0.0
    for stratum, pseudo in zip(strata, _pseudo(strata, scale), strict=True):
        items = list(_smoothed(stratum, pseudo, scale))
        weight = sum(share * count for share, _, count in items)
        mean = sum(share * value * count for share, value, count in items) / weight
        squares = sum(count * (share * (value - mean)) ** 2 for share, value, count in items)
        number = sum(count for _, _, count in items)
        # Var of a weighted Dirichlet mean, of `number` in all: by the delta method where shares differ, else exact.
        variance += (stratum.share / weight) ** 2 * squares * number / (number + 1)
    return math.sqrt(variance)


def _smoothed(stratum: _Stratum, pseudo: float, scale: _Scale) -> list[tuple[float, float, float]]:
    """(share, value, count) of a stratum, with `pseudo` of an item at either end of the scale.

    The counts of n items add up to n - 2, because the draws then vary as much as a mean of n items does, by 1 / (n - 1)
    of what the items do; of n they would vary by 1 / (n + 1), too little where a kind has ten tasks.
    """
    less = max(stratum.n - 2, 1) / stratum.n
    seen = [(share, value, count * less) for (share, value), count in stratum.counts]
    return [*seen, *((stratum.share / stratum.n, end, pseudo) for end in (scale.low, scale.high))]


def _pseudo(strata: Sequence[_Stratum], scale: _Scale) -> list[float]:
    """Each stratum's part of an item: as large as its part in the error would be, did all items vary alike."""
    parts = [stratum.share**2 / stratum.n for stratum in strata]
    return [scale.pseudo * part / sum(parts) for part in parts]


def _points(share: float) -> float:
    return round(100 * share, 6)
