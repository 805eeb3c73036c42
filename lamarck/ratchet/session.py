"""A night that is under way in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lamarck.gate.ratchet import Permit
from lamarck.ratchet.agents.proposal import Agent
from lamarck.ratchet.file import Ratchet
from lamarck.ratchet.laboratory import SubjectLaboratory
from lamarck.ratchet.ledger import append
from lamarck.ratchet.night import DecidedLine, Night, Proposed, Ran
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.plan import Subject
from lamarck.ratchet.rows import Row, rows


@dataclass
class Session:
    """What it works on, what it has found, and where it writes that down."""

    ratchet: Ratchet
    files: NightFiles
    subject: Subject
    permit: Permit
    laboratory: SubjectLaboratory
    agent: Agent
    say: Callable[[str], None]
    lines: list[Ran | Proposed | DecidedLine]
    night: Night
    log: str = ""
    failures: int = 0
    known: dict[str, int] = field(default_factory=dict)  # digest of a proposal's files -> its number

    @property
    def branch(self) -> str:
        return f"{self.ratchet.file.branch_prefix}/{self.files.tag}"

    @property
    def incumbent(self) -> str:
        return self.night.commit or self.subject.base

    def add(self, line: Ran | Proposed | DecidedLine) -> None:
        """Into the ledger first: what a kill leaves there is taken up by the next session."""
        append(self.files.ledger, line)
        self.take_up(line)

    def take_up(self, line: Ran | Proposed | DecidedLine) -> None:
        """A line that is in the ledger."""
        self.lines.append(line)
        self.night.apply(line)
        if isinstance(line, Proposed) and line.digest:
            self.known.setdefault(line.digest, line.number)

    def rows(self) -> list[Row]:
        return rows(self.lines, self.subject.base)
