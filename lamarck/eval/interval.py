"""How sure is a score, or a difference of two: 95% intervals over the items that were answered. Light.

An interval resamples items within strata by the Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338), with a
small part of an item added at either end of the scale: where nothing was seen to vary, something still may.
`python -m benchmarks.statistics` simulates what that is worth.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from lamarck.errors import LamarckError

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 20_000
SEED = 20260101
NOTHING = 1e-12  # of an item: what weighs less changes no digit that is shown


class Scale(NamedTuple):
    """What an item's value lies between, and the part of an item added at either end, for the suite as a whole."""

    low: float
    high: float
    pseudo: float


SCORES = Scale(0.0, 1.0, 0.5)  # as Jeffreys' prior has it
# Of two children of one house few items differ. Chosen by simulation of pairs of which 2 to 20% of the items differ, on
# suites of which three tenths rest on a hundred items: less, and 95% intervals hold the difference too seldom.
DIFFERENCES = Scale(-1.0, 1.0, 0.38)


class Interval(BaseModel):
    """A 95% interval, in points of 0..100."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float


class Stratum(NamedTuple):
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


def interval(
    samples: Sequence[Mapping[str, Any]], weights: Mapping[str, float], kinds: Mapping[str, str] | None = None
) -> Interval:
    """95% interval of one generation's score; `weights` and `kinds` as in `compare`.

    Errors: LamarckError when a task of `weights` was not answered.
    """
    found = outcomes_by_task(samples, weights)
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
    strata = strata_of(scores, weights, kinds or {})
    return bootstrap(strata, sum(stratum.part for stratum in strata), SCORES, resamples, seed)


def outcomes_by_task(
    samples: Sequence[Mapping[str, Any]], weights: Mapping[str, float]
) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Task -> index -> outcome, for exactly the tasks of the suite."""
    found: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in samples:
        if row["index"] in found[row["task"]]:
            raise LamarckError(f"item {row['index']} of {row['task']} occurs twice in the outcomes")
        found[row["task"]][row["index"]] = row
    missing, unknown = sorted(weights.keys() - found.keys()), sorted(found.keys() - weights.keys())
    if unknown:
        raise LamarckError(
            f"the outcomes are of another suite than the configured one, which has no task {unknown[0]}: name the "
            "configuration that they were made with (--configfile)"
        )
    if missing:
        raise LamarckError(f"a partial evaluation cannot be compared: no outcomes for {', '.join(missing)}")
    return found


def strata_of(
    values: Mapping[str, Sequence[float]], weights: Mapping[str, float], kinds: Mapping[str, str]
) -> tuple[Stratum, ...]:
    """What may be drawn for what. A stratum of one item shows no variance: such items are taken together."""
    total = sum(weights.values())
    counts: dict[tuple[bool, str], Counter[tuple[float, float]]] = defaultdict(Counter)
    for task, items in values.items():
        share = weights[task] / total / len(items)
        counts[task in kinds, kinds.get(task, task)].update((share, value) for value in items)
    alone = [name for name, items in counts.items() if items.total() == 1]
    if len(alone) > 1:
        counts[True, ""] = sum((counts.pop(name) for name in alone), Counter())
    return tuple(Stratum(tuple(sorted(items.items()))) for _, items in sorted(counts.items()))


@lru_cache(maxsize=1024)
def bootstrap(strata: tuple[Stratum, ...], estimate: float, scale: Scale, resamples: int, seed: int) -> Interval:
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
    return Interval(low=in_points(min(float(low), estimate)), high=in_points(max(float(high), estimate)))


def _drawn_means(
    generator: "np.random.Generator", stratum: Stratum, pseudo: float, scale: Scale, resamples: int
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


def standard_error(strata: Sequence[Stratum], scale: Scale) -> float:
    """Standard deviation of what `bootstrap` draws."""
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


def _smoothed(stratum: Stratum, pseudo: float, scale: Scale) -> list[tuple[float, float, float]]:
    """(share, value, count) of a stratum, with `pseudo` of an item at either end of the scale.

    The counts of n items add up to n - 2, because the draws then vary as much as a mean of n items does, by 1 / (n - 1)
    of what the items do; of n they would vary by 1 / (n + 1), too little where a kind has ten tasks.
    """
    less = max(stratum.n - 2, 1) / stratum.n
    seen = [(share, value, count * less) for (share, value), count in stratum.counts]
    return [*seen, *((stratum.share / stratum.n, end, pseudo) for end in (scale.low, scale.high))]


def _pseudo(strata: Sequence[Stratum], scale: Scale) -> list[float]:
    """Each stratum's part of an item: as large as its part in the error would be, did all items vary alike."""
    parts = [stratum.share**2 / stratum.n for stratum in strata]
    return [scale.pseudo * part / sum(parts) for part in parts]


def in_points(share: float) -> float:
    return round(100 * share, 6)
