"""How often verdicts and intervals err: generations simulated item by item, with the code that is used.

A pair of generations differs on a share of the items, from one level of the task's points to another; where neither is
better, as many for the one as for the other. Type I error: verdicts although neither is better. Coverage: of the
difference that the two would have over all items of the same tasks and kinds, and of one generation's own score. Each
simulation draws its signs and weights anew: of one seed, the error of so few resamples would be the same in all.
So do suites and shares of differing items draw theirs: the luck of one is not that of the others.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate, combinations
from math import comb
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamarck.eval.compare import NO_DIFFERENCE, compare_differences
from lamarck.eval.interval import score_interval
from lamarck.seeds import seed_for
from lamarck.suites.sections import RUNGS, BenchmarkTask, LadderTask, WritingTask
from lamarck.suites.suite import Suite, load_suite, suite_kinds, suite_weights

RESAMPLES = 400  # of the fifty times more that a comparison draws: that many more simulations are worth more
SEED = 20260101
WRONG_OR_RIGHT = (0.0, 1.0)


class Shape(NamedTuple):
    """What of a suite decides its statistics."""

    name: str
    weights: dict[str, float]
    kinds: dict[str, str]
    tasks: dict[str, tuple[int, tuple[float, ...]]]  # task -> items, the scores that an item can have, from 0 to 1


class Rates(NamedTuple):
    """Shares of the simulations."""

    covered: float
    verdicts: float


def shape(path: Path) -> Shape:
    """Of the suite in `path`. Errors: as those of load_suite."""
    suite = load_suite(path)
    return Shape(suite.name, suite_weights(path), suite_kinds(path), dict(_tasks(suite)))


def _tasks(suite: Suite) -> Iterator[tuple[str, tuple[int, tuple[float, ...]]]]:
    for sane in suite.sanity_tasks:
        yield (
            sane.name,
            (sane.items if isinstance(sane, BenchmarkTask) else len(suite.items[sane.name]), WRONG_OR_RIGHT),
        )
    for task in suite.tiers.engineering.tasks:
        levels = _levels(suite.points(task.kind), len(RUNGS[task.kind]))
        if isinstance(task, WritingTask):
            yield task.name, (task.samples, levels)
        elif isinstance(task, LadderTask):
            yield task.name, (len(suite.items[task.name]), levels)
    for file in suite.engineering_files:
        yield file.name, (1, _levels(suite.points(file.kind), len(file.rungs)))
    for asked in suite.tiers.teaching.tasks:
        yield asked.name, (len(suite.items[asked.name]), WRONG_OR_RIGHT)


def _levels(points: Mapping[str, float] | None, rungs: int) -> tuple[float, ...]:
    """The scores of who climbs no rung, the first, the first two, ...; without points each rung counts alike."""
    worth = list(points.values()) if points else [1.0] * rungs
    return tuple(sorted({0.0, *(climbed / sum(worth) for climbed in accumulate(worth))}))


def differences(
    suite: Shape, differing: float, gain: float, generator: np.random.Generator
) -> tuple[dict[str, list[float]], float]:
    """Paired differences of one simulated pair, and the true difference in points.

    Small steps are likelier than large ones, in proportion to their inverse.
    """
    truth, drawn = 0.0, {}
    for task, (items, levels) in suite.tasks.items():
        steps = np.array(sorted({high - low for low, high in combinations(levels, 2)}))
        sizes = differing / steps / (1 / steps).sum()
        values = np.concatenate([-steps[::-1], [0], steps])
        chances = np.concatenate([(1 - gain) * sizes[::-1], [1 - differing], gain * sizes])
        drawn[task] = generator.choice(values, items, p=chances).tolist()
        truth += suite.weights[task] * float(values @ chances)
    return drawn, 100 * truth


def pairs(suite: Shape, differing: float, gain: float, simulations: int, resamples: int = RESAMPLES) -> Rates:
    """How often the interval holds the true difference, and how often there is a verdict."""
    generator = np.random.default_rng(seed_for(SEED, suite.name, f"{differing:g}", f"{gain:g}"))
    covered = verdicts = 0
    for _ in range(simulations):
        drawn, truth = differences(suite, differing, gain, generator)
        found = compare_differences(drawn, suite.weights, suite.kinds, resamples, _seed(generator))
        covered += found.interval.low - 1e-6 <= truth <= found.interval.high + 1e-6
        verdicts += found.verdict != NO_DIFFERENCE
    return Rates(covered / simulations, verdicts / simulations)


def scores(suite: Shape, solved: float, simulations: int, resamples: int = RESAMPLES) -> float:
    """How often the interval of a generation that climbs each level with probability `solved` holds its true score."""
    generator = np.random.default_rng(seed_for(SEED, suite.name, f"{solved:g}"))
    truth = 0.0
    for task, (_, levels) in suite.tasks.items():
        most = len(levels) - 1
        chances = [
            comb(most, climbed) * solved**climbed * (1 - solved) ** (most - climbed) for climbed in range(most + 1)
        ]
        truth += suite.weights[task] * float(np.dot(chances, levels))
    covered = 0
    for _ in range(simulations):
        drawn = {
            task: np.array(levels)[generator.binomial(len(levels) - 1, solved, items)].tolist()
            for task, (items, levels) in suite.tasks.items()
        }
        found = score_interval(drawn, suite.weights, suite.kinds, resamples, _seed(generator))
        covered += found.low <= 100 * truth <= found.high
    return covered / simulations


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**32))
