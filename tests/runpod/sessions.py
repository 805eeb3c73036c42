"""Sessions without Snakemake around them: what the executor does with a pod, in this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.job import Task
from snakemake_executor_plugin_runpod.session import Session
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, need

QUICK = ExecutorSettings(
    max_dollars=5.0,
    gpu_memory=24,
    disk=1,
    poll_seconds=0.2,
    resume_seconds=0.2,
    wait_minutes=0.05,
    silent_minutes=0.1,
    ledger="ledger.jsonl",
)


@dataclass
class Opened:
    session: Session
    need: Need
    said: list[str] = field(default_factory=list)

    def run(self, command: str, **parts: object) -> None:
        self.session.runner.run(task(command, self.need, **parts))


@contextmanager
def opened(**settings: object) -> Iterator[Opened]:
    """A session in the working directory, ended in every case."""
    chosen = replace(QUICK, **settings)  # type: ignore[arg-type]
    said: list[str] = []
    asked = need(chosen)
    session = Session(chosen, (), {}, "", asked, said.append)
    try:
        yield Opened(session, asked, said)
    finally:
        session.close()
        session.end_watch()
        session.forget()


def task(command: str, asked: Need, **parts: object) -> Task:
    nothing = Task(f"job-{os.urandom(4).hex()}", command, (), (), (), (), None, {}, asked)
    return replace(nothing, **parts)  # type: ignore[arg-type]
