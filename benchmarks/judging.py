"""What judging costs: the shipped answers of a suite's engineering tasks, right and wrong, and a verdict by itself.

    python -m benchmarks.judging [--suite config/suites/v2] [--kind KIND ...]

A verdict by itself is one on an answer that does nothing and is asked for one number: the rooms and what goes between
them. Then all answers are judged as an evaluation judges them, side by side. Times are by the clock, and the load of
the machine stands beside them: on one that has other work they say little. Ends with 1 where an answer does not get
what it deserves.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from lamarck.eval.engineering_tier import judge_answers
from lamarck.judging.examination import examine
from lamarck.judging.outer_room import WITH_PEFT, template
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.suite import load_suite
from lamarck.suites.tasks.load import KINDS

VERDICTS = 20
EXAMINATION = "from examiner import ask, equal\n\n\ndef test_one():\n    equal(ask('one()'), 1)\n"
ANSWER = "def one():\n    return 1\n"


def verdict_seconds(sandbox: Sandbox) -> float:
    """Of the median verdict of several, one after the other."""
    seconds = []
    for _ in range(VERDICTS):
        started = time.perf_counter()
        found = examine(sandbox, ANSWER, EXAMINATION, (("passes", "test_"),), Limits())
        seconds.append(time.perf_counter() - started)
        assert found.held == ("passes",), found.why
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", type=Path, default=Path("config/suites/v2"))
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=list(KINDS))
    arguments = parser.parse_args()
    tasks = [task for task in load_suite(arguments.suite).engineering_files if task.kind in arguments.kind]
    answers = [(task, task.reference, set[str]()) for task in tasks]
    answers += [(task, wrong.answer, set(wrong.loses)) for task in tasks for wrong in task.wrong]
    print(f"{os.cpu_count()} cores, load of the machine before {os.getloadavg()[0]:.1f}")
    started = time.perf_counter()
    sandbox = Sandbox()
    template(WITH_PEFT)
    print(f"{time.perf_counter() - started:6.1f} s  until the rooms can be entered, once a process")
    print(f"{verdict_seconds(sandbox):6.2f} s  a verdict by itself, the median of {VERDICTS}", flush=True)
    started = time.perf_counter()
    judged = judge_answers([task for task, _, _ in answers], [text for _, text, _ in answers], sandbox)
    print(f"{time.perf_counter() - started:6.1f} s  {len(answers)} answers of {len(tasks)} tasks")
    print(f"load of the machine after {os.getloadavg()[0]:.1f}")
    wrongly = [
        task.name
        for (task, _, loses), rungs in zip(answers, judged, strict=True)
        if {rung for rung, climbed in rungs.items() if not climbed} != loses
    ]
    if wrongly:
        sys.exit(f"not judged as they deserve: {', '.join(wrongly)}")


if __name__ == "__main__":
    main()
