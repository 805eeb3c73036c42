"""How long the light commands take, and how much of a lineage's wall time is generating, training and evaluating.

python benchmarks/commands.py
"""

import csv
import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
RUNS = 5
COMMANDS = (["lamarck", "--help"], ["lamarck", "status"], ["lamarck", "review", "g1"], ["snakemake", "--dry-run"])


def main() -> None:
    for program, *arguments in COMMANDS:
        seconds = []
        for _ in range(RUNS):
            started = time.perf_counter()
            done = subprocess.run([BIN / program, *arguments], capture_output=True)
            seconds.append(time.perf_counter() - started)
        failed = "" if done.returncode == 0 else " (it failed: is there a lineage?)"
        print(f"{program} {' '.join(arguments)}: median {statistics.median(seconds):.2f} s{failed}")
    rows = {path.relative_to("logs").with_suffix(""): _seconds(path) for path in sorted(Path("logs").rglob("*.tsv"))}
    for name, taken in rows.items():
        print(f"  {name}: {taken:.0f} s")
    print(f"generating, training and evaluating, added up over both arms: {sum(rows.values()):.0f} s")


def _seconds(path: Path) -> float:
    with path.open() as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


if __name__ == "__main__":
    main()
