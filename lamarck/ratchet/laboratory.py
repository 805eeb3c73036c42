"""Where the experiments of a subject are done: in rooms, or, for a strategy, through the chain."""

from collections.abc import Mapping
from typing import Protocol

from lamarck.judging.sandbox import Sandbox
from lamarck.ratchet.file import ExperimentBudget, RatchetFile
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.plan import Subject
from lamarck.ratchet.room import ExperimentOutcome, ExperimentRoom


class SubjectLaboratory(Protocol):
    def experiment(
        self, mutable: Mapping[str, bytes], seed: int, budget: ExperimentBudget, environment: Mapping[str, str]
    ) -> ExperimentOutcome: ...


def laboratory_of(file: RatchetFile, files: NightFiles, subject: Subject) -> SubjectLaboratory:
    """Errors: SandboxUnavailable."""
    if file.chain:
        from lamarck.ratchet.chain import ChainRoom

        return ChainRoom(file, files)
    return ExperimentRoom(Sandbox(), file, subject.fixed, subject.evaluation)
