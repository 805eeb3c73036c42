"""Where the files of an evolution lie. Light."""

from dataclasses import dataclass
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.gate.evolution import EVOLUTIONS
from lamarck.lineage.generation import RESULTS


@dataclass(frozen=True)
class Places:
    """All but `candidates/` is small. The reports are derived from the ledger and the clock."""

    name: str

    @property
    def directory(self) -> Path:
        return RESULTS / EVOLUTIONS / self.name

    @property
    def file(self) -> Path:
        """The evolution's file, as it was when the run began."""
        return self.directory / "evolve.yaml"

    @property
    def plan(self) -> Path:
        return self.directory / "plan.json"

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.jsonl"

    @property
    def clock(self) -> Path:
        """What the machine's clock said: no two runs say the same."""
        return self.directory / "clock.jsonl"

    @property
    def report(self) -> Path:
        return self.directory / "report.md"

    @property
    def lock(self) -> Path:
        return Path(".lamarck") / EVOLUTIONS / f"{self.name}.lock"

    def genome(self, candidate: str) -> Path:
        return self.directory / "candidates" / candidate / "genome.yaml"

    def model(self, candidate: str, rung: str) -> Path:
        """The model directory that a candidate was at the end of a rung."""
        return self.directory / "candidates" / candidate / rung


def places_of(name: str) -> Places:
    """Of an evolution that has begun here. Errors: LamarckError where none has by that name."""
    places = Places(name)
    if not places.plan.exists():
        root = RESULTS / EVOLUTIONS
        known = ", ".join(sorted(path.parent.name for path in root.glob("*/plan.json"))) or "none"
        raise LamarckError(f"no evolution has run here by the name of {name} (there is: {known})")
    return places
