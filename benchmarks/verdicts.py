"""How often verdicts and intervals err: generations simulated item by item on each shipped suite, with the code that is
used.

python -m benchmarks.verdicts [--simulations 1000]

A pair of generations differs on a share of the items, by as many rungs as the task has; where neither is better, as
many for the one as for the other. Type I error: verdicts although neither is better. Coverage: of the difference that
the two would have over all items of the same tasks and kinds, and of one generation's own score.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamarck.eval.compare import NO_DIFFERENCE, compare_differences, score_interval
from lamarck.suites.sections import BenchmarkTask, LadderTask, WritingTask
from lamarck.suites.suite import Suite, load_suite, suite_kinds, suite_weights

SUITES = Path("config/suites")
RESAMPLES = 2000  # of the ten times more that a comparison draws: ten times as many simulations are worth more
SEED = 20260101
RUNGS = {"trace": 3, "record": 3, "writing": 4}
DIFFERING = (0.02, 0.04, 0.06, 0.1, 0.2, 0.4)
GAIN = 0.7  # share of the differing items that are gains, where one generation is better
SOLVED = (0.02, 0.2, 0.5, 0.9)


class Shape(NamedTuple):
    """What of a suite decides its statistics."""

    name: str
    weights: dict[str, float]
    kinds: dict[str, str]
    tasks: dict[str, tuple[int, int]]  # task -> items, rungs of an item


class Rates(NamedTuple):
    """Shares of the simulations."""

    covered: float
    verdicts: float


def shape(path: Path) -> Shape:
    """Of the suite in `path`. Errors: as those of load_suite."""
    suite = load_suite(path)
    return Shape(suite.name, suite_weights(path), suite_kinds(path), dict(_tasks(suite)))


def _tasks(suite: Suite) -> Iterator[tuple[str, tuple[int, int]]]:
    for sane in suite.sanity_tasks:
        yield sane.name, (sane.items if isinstance(sane, BenchmarkTask) else len(suite.items[sane.name]), 1)
    for task in suite.tiers.engineering.tasks:
        if isinstance(task, WritingTask):
            yield task.name, (task.samples, RUNGS[task.kind])
        elif isinstance(task, LadderTask):
            yield task.name, (len(suite.items[task.name]), RUNGS[task.kind])
    for file in suite.engineering_files:
        yield file.name, (1, len(file.rungs))
    for asked in suite.tiers.teaching.tasks:
        yield asked.name, (len(suite.items[asked.name]), 1)


def differences(
    suite: Shape, differing: float, gain: float, generator: np.random.Generator
) -> tuple[dict[str, list[float]], float]:
    """Paired differences of one simulated pair, and the true difference in points.

    Small steps are likelier than large ones, in proportion to their inverse.
    """
    truth, drawn = 0.0, {}
    for task, (items, rungs) in suite.tasks.items():
        steps = np.arange(1, rungs + 1)
        sizes = differing / steps / (1 / steps).sum()
        values = np.concatenate([-steps[::-1], [0], steps]) / rungs
        chances = np.concatenate([(1 - gain) * sizes[::-1], [1 - differing], gain * sizes])
        drawn[task] = generator.choice(values, items, p=chances).tolist()
        truth += suite.weights[task] * float(values @ chances)
    return drawn, 100 * truth


def pairs(suite: Shape, differing: float, gain: float, simulations: int, resamples: int = RESAMPLES) -> Rates:
    """How often the interval holds the true difference, and how often there is a verdict."""
    generator = np.random.default_rng(SEED)
    covered = verdicts = 0
    for _ in range(simulations):
        drawn, truth = differences(suite, differing, gain, generator)
        found = compare_differences(drawn, suite.weights, suite.kinds, resamples)
        covered += found.interval.low - 1e-6 <= truth <= found.interval.high + 1e-6
        verdicts += found.verdict != NO_DIFFERENCE
    return Rates(covered / simulations, verdicts / simulations)


def scores(suite: Shape, solved: float, simulations: int, resamples: int = RESAMPLES) -> float:
    """How often the interval of a generation that climbs each rung with probability `solved` holds its true score."""
    generator = np.random.default_rng(SEED)
    covered = 0
    for _ in range(simulations):
        drawn = {task: (generator.binomial(n, solved, k) / n).tolist() for task, (k, n) in suite.tasks.items()}
        found = score_interval(drawn, suite.weights, suite.kinds, resamples)
        covered += found.low <= 100 * solved <= found.high
    return covered / simulations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    simulations = parser.parse_args().simulations
    error = 100 * math.sqrt(0.05 * 0.95 / simulations)
    print(f"{simulations} simulations: standard error {error:.1f} points")
    for path in sorted(each.parent for each in SUITES.glob("*/suite.yaml")):
        suite = shape(path)
        print(
            f"\n{suite.name}: items that differ | type I error | coverage, none better | coverage, one better | found"
        )
        for differing in DIFFERING:
            none, better = (pairs(suite, differing, gain, simulations) for gain in (0.5, GAIN))
            figures = (none.verdicts, none.covered, better.covered, better.verdicts)
            print(f"  {differing:4.0%} |", " | ".join(f"{100 * figure:5.1f}" for figure in figures), flush=True)
        held = ", ".join(f"{solved:.0%}: {100 * scores(suite, solved, simulations):.1f}" for solved in SOLVED)
        print(f"  coverage of one score, by the share of rungs that are climbed: {held}", flush=True)


if __name__ == "__main__":
    main()
