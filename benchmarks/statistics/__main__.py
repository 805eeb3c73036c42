"""Coverage of intervals and type I error of verdicts, for each shipped suite: simulate.py says how.

    python -m benchmarks.statistics [--simulations 1000] [--suite small-v1 ...]

Last comes a table over all shares of differing items, in percent; in brackets the lowest and the highest of them.

A folder, and no file: as a file it would stand in for Python's own `statistics` where a benchmark beside it is run.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.statistics.simulate import RESAMPLES, pairs, scores, shape

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
    one, all_of_them = (100 * math.sqrt(0.05 * 0.95 / number) for number in (simulations, simulations * len(DIFFERING)))
    print(
        f"{simulations} simulations of {RESAMPLES} resamples: standard error {one:.1f} points, over all shares of "
        f"differing items {all_of_them:.1f}"
    )
    rows = [_row(name, simulations) for name in arguments.suite]
    print("\n| suite | type I error | coverage where one is better | coverage of a score |\n|---|---|---|---|")
    print("\n".join(rows))


def _row(name: str, simulations: int) -> str:
    """Of the table; what it sums up is printed as it comes."""
    suite = shape(SUITES / name)
    print(f"\n{name}: items that differ | type I error | coverage, one better | found")
    errors, covered = [], []
    for differing in DIFFERING:
        none, better = (pairs(suite, differing, gain, simulations) for gain in (0.5, GAIN))
        errors.append(none.verdicts)
        covered.append(better.covered)
        figures = (none.verdicts, better.covered, better.verdicts)
        print(f"  {differing:4.0%} |", " | ".join(f"{100 * figure:5.1f}" for figure in figures), flush=True)
    held = [scores(suite, solved, simulations) for solved in SOLVED]
    by_share = ", ".join(f"{solved:.0%}: {100 * share:.1f}" for solved, share in zip(SOLVED, held, strict=True))
    print(f"  coverage of one score, by the share of levels that are climbed: {by_share}", flush=True)
    return f"| {name} | {_over(errors)} | {_over(covered)} | {_over(held)} |"


def _over(shares: Sequence[float]) -> str:
    return f"{100 * fmean(shares):.1f} ({100 * min(shares):.1f} to {100 * max(shares):.1f})"


if __name__ == "__main__":
    main()
