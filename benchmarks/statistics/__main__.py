"""Coverage of intervals and type I error of verdicts, for each shipped suite: simulate.py says how.

    python -m benchmarks.statistics [--simulations 1000] [--suite small-v1 ...]

A folder, and no file: as a file it would stand in for Python's own `statistics` where a benchmark beside it is run.
"""

import argparse
import math
from pathlib import Path

from benchmarks.statistics.simulate import pairs, scores, shape

SUITES = Path("config/suites")
DIFFERING = (0.02, 0.04, 0.06, 0.1, 0.2, 0.4)
GAIN = 0.7  # share of the differing items that are gains, where one generation is better
SOLVED = (0.02, 0.2, 0.5, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.statistics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--suite", nargs="*", default=sorted(each.parent.name for each in SUITES.glob("*/suite.yaml")))
    arguments = parser.parse_args()
    simulations = arguments.simulations
    error = 100 * math.sqrt(0.05 * 0.95 / simulations)
    print(f"{simulations} simulations: standard error {error:.1f} points")
    for name in arguments.suite:
        suite = shape(SUITES / name)
        print(f"\n{name}: items that differ | type I error | coverage, none better | coverage, one better | found")
        for differing in DIFFERING:
            none, better = (pairs(suite, differing, gain, simulations) for gain in (0.5, GAIN))
            figures = (none.verdicts, none.covered, better.covered, better.verdicts)
            print(f"  {differing:4.0%} |", " | ".join(f"{100 * figure:5.1f}" for figure in figures), flush=True)
        held = ", ".join(f"{solved:.0%}: {100 * scores(suite, solved, simulations):.1f}" for solved in SOLVED)
        print(f"  coverage of one score, by the share of levels that are climbed: {held}", flush=True)


if __name__ == "__main__":
    main()
