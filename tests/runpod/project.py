"""A project so small that its jobs take no time: what is left is what the executor does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from tests.environment import in_default_environment
from tests.pipeline.warm import OF_PROGRAMS, start_warm
from tests.runpod.container import descendants

T = TypeVar("T")

SNAKEFILE = """
rule all:
    input: "out/second.txt", "out/beside.txt"

rule first:
    input: "in.txt"
    output: "out/first.txt", folder=directory("out/folder")
    log: "logs/first.log"
    benchmark: "logs/first.tsv"
    params: checkpoint="out/checkpoint"
    shell: "bash job.sh {output[0]} {output.folder} {params.checkpoint} > {log} 2>&1"

rule second:
    input: "out/first.txt", "out/folder"
    output: "out/second.txt"
    shell: "cat {input[0]} {input[1]}/* > {output}"

rule beside:
    input: "in.txt"
    output: "out/beside.txt"
    shell: "cp {input} {output}"
"""
# Counts from where its checkpoint says, until it is told that it is enough.
JOB = """
. ./steps
mkdir -p "$2" "$3"
step=$(cat "$3/step" 2>/dev/null || echo 0)
echo "starts at $step"
while [ "$step" -lt "$steps" ] && [ ! -e enough ]; do
  sleep "$seconds"
  step=$((step + 1))
  echo "$step" > "$3/step.new" && mv "$3/step.new" "$3/step"
  echo "step $step"
done
rm -r "$3"
echo folder > "$2/part.txt"
{ cat in.txt; echo "$step"; } > "$1"
"""


@dataclass(frozen=True)
class Small:
    root: Path
    runs: list[subprocess.Popen[str]] = field(default_factory=list)

    def stop(self) -> None:
        """Kill what a failed test has left running."""
        for run in self.runs:
            self.crash(run)

    def crash(self, run: subprocess.Popen[str]) -> None:
        """As when the machine loses its power: the controller, and whatever it has started, at once."""
        beside = descendants(run.pid)
        run.kill()
        for process in beside:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        run.wait()

    @property
    def quick(self) -> tuple[str, ...]:
        """Settings for jobs of seconds, not hours."""
        return (
            *("--runpod-max-dollars", "5", "--runpod-poll-seconds", "0.3", "--runpod-resume-seconds", "0.3"),
            *("--runpod-disk", "1"),
        )

    @property
    def one(self) -> tuple[str, ...]:
        """The same, for the first job alone."""
        return (*self.quick, "out/first.txt")

    @property
    def log(self) -> str:
        path = self.root / "logs/first.log"
        return path.read_text() if path.exists() else ""

    @property
    def step(self) -> int:
        """Where the checkpoint that came back says the first job is."""
        path = self.root / "out/checkpoint/step"
        return int(path.read_text()) if path.exists() else 0

    def slow_down(self, steps: int, seconds: float) -> None:
        """Give the first job this many steps, of this length."""
        (self.root / "steps").write_text(f"steps={steps} seconds={seconds}\n")
        subprocess.run(["git", "add", "steps"], cwd=self.root, check=True)

    def command(self, *arguments: str) -> list[str]:
        snakemake = str(Path(sys.executable).parent / "snakemake")
        return [snakemake, "--executor", "runpod", "--jobs", "2", *arguments]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        run = subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=in_default_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.runs.append(run)
        return run

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Both streams of a run that ends well, or with `fails`, one that does not."""
        process = self.start(*arguments, TESTS_WARM_PROGRAMS=warm_snakemake())
        output, _ = process.communicate(timeout=600)
        assert bool(process.returncode) == fails, output
        return output


@cache
def warm_snakemake() -> str:
    """Where Snakemake's imports are done already. No signal gets there: a run that is sent one goes without."""
    return start_warm(in_default_environment(), OF_PROGRAMS)


def wait_until(condition: Callable[[], T], seconds: float = 300.0) -> T:
    """The first true value of `condition`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return value


def make_small(root: Path) -> Small:
    root.mkdir(parents=True)
    (root / "Snakefile").write_text(SNAKEFILE)
    (root / "job.sh").write_text(JOB)
    (root / "in.txt").write_text("input\n")
    (root / "steps").write_text("steps=3 seconds=0.1\n")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return Small(root)
