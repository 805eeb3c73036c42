"""What a search takes beside training and measuring: an evolution run to its end, its processor seconds told apart.

    python benchmarks/evolve_overhead.py [FILE]      # config/evolve/smoke.yaml if left out: three minutes on two cores

Prints the share of all processor seconds that neither trained a candidate nor measured one: births, checks, weights
that are written, digests, ledger, choice of parents, report. It runs in a directory of its own, approved by itself.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lamarck.engine import prepare_libraries
from lamarck.evolve.file import load_evolution

TOLD_APART = {"train": "training", "measure": "measuring", "throughput": "measuring"}


def main() -> None:
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "config/evolve/smoke.yaml").resolve()
    evolving = load_evolution(file)
    prepare_libraries(evolving.file.threads)
    from lamarck.evolve import laboratory
    from lamarck.evolve.run import run_evolution
    from lamarck.gate.approval import Approver
    from lamarck.gate.planned import plan_digest

    spent: dict[str, float] = defaultdict(float)
    with in_a_directory_of_its_own(), told_apart(laboratory, spent):
        started, cpu = time.perf_counter(), time.process_time()
        why = run_evolution(evolving, lambda: Approver(name="Benchmark"), plan_digest, None, print)
        seconds, processor = time.perf_counter() - started, time.process_time() - cpu
    beside = processor - sum(spent.values())
    parts = ", ".join(f"{what} {value:.1f}" for what, value in spent.items())
    print(f"{evolving.name} ended: {why}; {seconds:.0f} s, {processor:.1f} processor seconds: {parts}")
    print(f"the search itself: {beside:.1f}, {beside / processor:.1%} of all")


@contextlib.contextmanager
def in_a_directory_of_its_own() -> Iterator[None]:
    """Results and approvals lie there; the file and what it names stay where they are."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(Path("config").resolve(), Path(folder) / "config")
        with contextlib.chdir(folder):
            yield


@contextlib.contextmanager
def told_apart(module: Any, spent: dict[str, float]) -> Iterator[None]:
    """Count the processor seconds of what a laboratory calls, by what it is for."""
    own = {name: getattr(module, name) for name in TOLD_APART}
    for name, function in own.items():
        setattr(module, name, counted(function, TOLD_APART[name], spent))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(module, name, function)


def counted(function: Callable[..., Any], what: str, spent: dict[str, float]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[what] += time.process_time() - began

    return call


if __name__ == "__main__":
    main()
