"""What each test file costs: processor seconds, its own and its children's, and the time that it takes.

The slowest files are printed after every run, so that what grows stays seen. The order of a run follows from the times
that were last kept (`make costs`): the longest files begin first, so that no processor is left with nothing to do at
the end. Not from processor seconds: of what ran in a sandbox's rooms the system keeps none, for nobody waits for its
end.
"""

import json
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).with_name("costs.json")
SHOWN = 10
# Below that the order makes no difference, and the kept file changes with every run.
WORTH_KEEPING = 5.0


@dataclass
class Costs:
    """File -> [processor seconds, seconds], of this process or of all of them."""

    files: dict[str, list[float]] = field(default_factory=dict)

    def add(self, file: str, processor: float, wall: float) -> None:
        before = self.files.get(file, [0.0, 0.0])
        self.files[file] = [before[0] + processor, before[1] + wall]


COSTS = pytest.StashKey[Costs]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-costs", action="store_true", help=f"write what the files cost to {KEPT.name}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: a third of their time files wait, for a clock or for one another."""
    return len(os.sched_getaffinity(0)) + 2


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COSTS] = Costs()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; within a file nothing moves."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    items.sort(key=lambda item: -kept.get(_file(item), 0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    processor, wall = _processor_seconds(), time.monotonic()
    try:
        return (yield)
    finally:
        item.config.stash[COSTS].add(_file(item), _processor_seconds() - processor, time.monotonic() - wall)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its costs over."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["costs"] = session.config.stash[COSTS].files


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for file, (processor, wall) in getattr(node, "workeroutput", {}).get("costs", {}).items():
        node.config.stash[COSTS].add(file, processor, wall)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    costs = sorted(config.stash[COSTS].files.items(), key=lambda entry: -entry[1][0])
    total = sum(processor for _, (processor, _) in costs)
    terminalreporter.section(f"the slowest files of {len(costs)}; all took {total:.0f} processor seconds")
    for file, (processor, wall) in costs[:SHOWN]:
        terminalreporter.line(f"{processor:7.1f} processor seconds {wall:7.1f} s  {file}")
    if config.getoption("keep_costs"):
        kept = {file: round(wall) for file, (_, wall) in sorted(costs, key=lambda entry: -entry[1][1])}
        kept = {file: wall for file, wall in kept.items() if wall >= WORTH_KEEPING}
        KEPT.write_text(json.dumps(kept, indent=2) + "\n")


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _processor_seconds() -> float:
    """Of this process, of the children it has waited for, and of all that run below it."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used) + sum(map(_running_seconds, _children(os.getpid())))


def _running_seconds(process: int) -> float:
    """What a process, those it has waited for and those that run below it have taken so far. 0: it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        below = _children(process)
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(map(_running_seconds, below))


def _children(process: int) -> list[int]:
    return [int(each) for task in Path(f"/proc/{process}/task").iterdir() for each in _read(task / "children").split()]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
