"""One experiment: the candidate runs in a room, and its metric is read in another. The clock is outside both.

The run's room has the subject's files without those of the evaluator. What it hands over goes, unopened, into the
evaluator's room, where the immutable files are as their commit has them. `trust: scored` takes the named files alone
across, and nothing that the subject printed; `trust: printed` takes whatever the run left, and its own word for it.
"""

import json
import math
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lamarck.judging.outer_room import INTERPRETER
from lamarck.judging.sandbox import MIB, Job, Limits, Run, Sandbox
from lamarck.ratchet.file import ExperimentBudget, RatchetFile
from lamarck.visible import visible

RUNNER = Path(__file__).with_name("runner.py")
EVALUATOR_SECONDS = 600.0  # of processor time
NUMBER = r"([+-]?(?:\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf|infinity))"
VALUE = re.compile(rf"^[ \t]*([\w./-]+)[ \t]*[:=][ \t]*{NUMBER}[ \t]*$", re.MULTILINE | re.IGNORECASE)
MEMORY = "peak_vram_mb"  # what autoresearch's subjects print
ERROR = re.compile(r"^(\w+(?:\.\w+)*(?:Error|Exception|Exit|Interrupt))\b:?.*$", re.MULTILINE)


@dataclass(frozen=True)
class ExperimentOutcome:
    """`metric`: None where there is none, and `failure` says why. `log` is what the run said, at its end; `caught`:
    what it tried that nothing comes of."""

    metric: float | None
    failure: str
    seconds: float
    memory_gb: float
    log: str
    caught: tuple[str, ...] = ()


class ExperimentRoom:
    """Where experiments run. `fixed`: immutable and data files; `hidden`: of the evaluator alone."""

    def __init__(self, sandbox: Sandbox, file: RatchetFile, fixed: Mapping[str, bytes], hidden: Mapping[str, bytes]):
        self._sandbox = sandbox
        self._file = file
        self._fixed = fixed
        self._hidden = hidden

    def experiment(
        self, mutable: Mapping[str, bytes], seed: int, budget: ExperimentBudget, environment: Mapping[str, str]
    ) -> ExperimentOutcome:
        """Never raises for what the subject does. Errors: SandboxUnavailable."""
        started = time.monotonic()
        told = self._environment(seed, budget, environment)
        run = self._run(mutable, told, budget)
        ran = time.monotonic() - started
        said = _report(run)
        # The subject could have ended whoever ended it early in the room: only this clock counts.
        late = budget.kind != "processor_seconds" and ran > budget.limit + 1
        failure = _failure_of(run, said, late, budget)
        caught = _caught(self._file, said)
        if failure:
            return ExperimentOutcome(None, failure, ran, said.memory_gb, said.tail, caught)
        scored = self._evaluate(mutable, told, run.archive)
        seconds = time.monotonic() - started
        evaluated = _report(scored)
        metric, failure = _metric(self._file, scored, evaluated)
        log = said.tail
        printed = _said(log, MEMORY)
        memory = printed / 1024 if printed is not None else said.memory_gb
        return ExperimentOutcome(metric, failure, seconds, memory, log, caught)

    def _environment(self, seed: int, budget: ExperimentBudget, more: Mapping[str, str]) -> dict[str, str]:
        threads = str(self._file.cores)
        return {
            "OMP_NUM_THREADS": threads,
            "RATCHET_SEED": str(seed),
            "RATCHET_BUDGET_KIND": budget.kind,
            "RATCHET_BUDGET": f"{budget.amount:g}",
            **self._file.environment,
            **more,
        }

    def _run(self, mutable: Mapping[str, bytes], environment: Mapping[str, str], budget: ExperimentBudget) -> Run:
        by_clock = budget.kind != "processor_seconds"
        spec = {
            "command": self._file.run_command,
            "environment": environment,
            "seconds": budget.limit if by_clock else None,
            "take": [],
            "mutable": list(mutable),
            "leaves": True,
            "leave": list(self._file.hand_over) if self._file.trust == "scored" else None,
            "channel": False,
        }
        seconds = budget.limit * (self._file.cores if by_clock else 1)
        return self._sandbox.run_job(self._job(spec, {**self._fixed, **mutable}, seconds, archived=True))

    def _evaluate(self, mutable: Mapping[str, bytes], environment: Mapping[str, str], handed: bytes) -> Run:
        """Of two rooms side by side, where the candidate answers the evaluator: how the evaluator's ended."""
        scored, answers = self._file.trust == "scored", self._file.answer_command
        spec = {
            "command": self._file.eval_command,
            "environment": environment,
            "seconds": None,
            "take": list(self._file.hand_over) if scored else None,
            "leaves": False,
            "leave": [],
            "channel": answers is not None,
        }
        files = {**self._fixed, **self._hidden, **({} if scored else mutable)}
        if answers is None:
            return self._sandbox.run_job(self._job(spec, files, EVALUATOR_SECONDS, handed=handed))
        own, other = socket.socketpair()
        evaluator = self._job(spec, files, EVALUATOR_SECONDS, handed=handed, channel=own)
        candidate = self._job(
            spec | {"command": answers},
            {**self._fixed, **mutable},
            EVALUATOR_SECONDS,
            handed=handed,
            channel=other,
        )
        return self._sandbox.run_job(evaluator, candidate)

    def _job(
        self,
        spec: Mapping[str, object],
        files: Mapping[str, bytes],
        seconds: float,
        *,
        handed: bytes | None = None,
        archived: bool = False,
        channel: socket.socket | None = None,
    ) -> Job:
        given: dict[str, str | bytes] = {f"subject/{name}": content for name, content in files.items()}
        given |= {"spec.json": json.dumps(spec), "runner.py": RUNNER.read_bytes()}
        if handed is not None:
            given["handed.tar"] = handed
        limits = Limits(
            seconds=seconds,
            memory_bytes=self._file.memory_mb * MIB,
            disk_bytes=self._file.disk_mb * MIB,
            processes=self._file.processes,
        )
        command = (str(INTERPRETER), "-I", "/task/runner.py")
        return Job(given, limits, command=command, archived=archived, channel=channel)


class Said(BaseModel):
    """What the runner said of a room: the subject can have written it, so it decides nothing but a failure's words."""

    model_config = ConfigDict(strict=True)

    code: int = 1
    ended: str = ""
    memory_gb: float = 0.0
    processor_seconds: float = 0.0
    disk_full: bool = False
    said: str = ""
    log: str = ""
    missing: list[str] = []
    tampered: list[str] = []

    @property
    def tail(self) -> str:
        return self.log or self.said


def _report(run: Run) -> Said:
    try:
        return Said.model_validate_json(run.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return Said(said=run.stderr[-2000:])


def _failure_of(run: Run, said: Said, late: bool, budget: ExperimentBudget) -> str:
    if run.stopped_by:
        return f"overrun: {run.stopped_by}" if "time" in run.stopped_by else f"stopped: {run.stopped_by}"
    # The kernel ends a process at its limit without a word.
    spent = budget.kind == "processor_seconds" and said.code and said.processor_seconds >= budget.limit
    if late or spent or said.ended == "overrun":
        return f"overrun: it took more than the {budget.limit:g} seconds that it may"
    if said.ended == "diverged":
        return "diverged: its loss was above 100, or no number"
    if said.code and said.disk_full:
        return "it filled the disk that it may use"
    if run.exit_code or said.code:
        return _crash(said)
    if said.tampered:
        return f"it {visible(said.tampered[0], 100)}, which is not its to change"
    if said.missing:
        return f"it did not leave {visible(said.missing[0], 100)} as a file, which is what would be scored"
    return ""


def _caught(file: RatchetFile, said: Said) -> tuple[str, ...]:
    """What is logged of a run beside how it ended. Whoever ends the runner is not seen, and gains nothing by it."""
    printed = file.trust == "scored" and _said(f"{said.said}\n{said.log}", file.metric) is not None
    return (*(visible(each, 100) for each in said.tampered), *([f"printed {file.metric}"] if printed else []))


def _crash(said: Said) -> str:
    text = f"{said.log}\n{said.said}"
    if re.search(r"MemoryError|out of memory|Cannot allocate memory|not enough memory", text, re.IGNORECASE):
        return "out of memory"
    errors = [match[0] for match in ERROR.finditer(text)]
    if errors:
        return visible(errors[-1], 300)
    last = text.strip().splitlines()
    return f"it failed: {visible(last[-1], 300) if last else 'without a word'}"


def _metric(file: RatchetFile, run: Run, said: Said) -> tuple[float | None, str]:
    """The one number that the evaluator printed, or why there is none."""
    if run.stopped_by:
        return None, f"the evaluator was ended: {run.stopped_by}"
    found = VALUE.findall(said.said)
    named = [value for name, value in found if name == file.metric]
    # autoresearch's template has a metric that its command prints under another name: one line, then, is the metric.
    values = named or ([value for _, value in found] if len(found) == 1 else [])
    if run.exit_code or said.code:
        return None, f"the evaluator failed: {_crash(said)}"
    if not values:
        return None, f"no metric: the evaluator did not print {file.metric}"
    if len(values) > 1:
        return None, f"{file.metric} was printed {len(values)} times: which one is it?"
    value = float(values[0].replace("_", ""))
    if not math.isfinite(value):
        return None, f"{file.metric} is {values[0]}, which is no number to compare"
    return value, ""


def _said(text: str, name: str) -> float | None:
    """The last number of that name, if it is one."""
    values = [float(value.replace("_", "")) for each, value in VALUE.findall(text) if each == name]
    return values[-1] if values and math.isfinite(values[-1]) else None
