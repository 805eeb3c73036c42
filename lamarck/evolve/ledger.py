"""The ledger of an evolution: a line an event, appended and synced before anything follows from it. Light.

Whatever a run does is drawn from seeds that follow from names, and so happens again in the same way: a line that is
there already is taken for the work that it tells of. What the clock said lies in a file of its own, so that the ledgers
of a run that was interrupted and of one that was not are the same bytes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from lamarck.arch.genome import Genome, check_genome
from lamarck.errors import LamarckError
from lamarck.evolve.places import Places
from lamarck.evolve.scores import GenomeScores
from lamarck.files import append_line, whole_lines

How = Literal["seed", "mutation", "crossover", "random"]
Arm = Literal["repeat", "line", "scratch", "scratch at equal compute", "llama"]
RungName = Literal["short", "full"]


class _LedgerLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Born(_LedgerLine):
    """A candidate. `genome`: all that it says; `attempt`: which draw it was. `novelty`: its distance to its (first)
    parent, else to the first seed. `refused`: why it was never built."""

    kind: Literal["born"] = "born"
    candidate: str
    generation: int
    attempt: int
    how: How
    genome: dict[str, Any]
    digest: str
    parents: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    novelty: FiniteFloat = 0.0
    refused: str = ""

    def read(self) -> Genome:
        return check_genome(self.genome, f"the genome of {self.candidate}")


class TrainedLine(_LedgerLine):
    """A candidate at the end of a rung. `weights`: digest of its directory. `exact`, `inherited` and the two losses
    (nats per token, on the same rows, before it was trained) tell how it began. No scores: `stopped` says why."""

    kind: Literal["trained"] = "trained"
    candidate: str
    rung: RungName
    steps: int
    tokens: int
    stopped: str
    weights: str = ""
    exact: bool = False
    inherited: FiniteFloat = 0.0
    loss_before: FiniteFloat | None = None
    loss_after: FiniteFloat | None = None
    scores: GenomeScores | None = None


class Compared(_LedgerLine):
    """A training beside the evolution, of which nothing is kept: the first seed again, or an arm of the controls.
    `flops`: of all of its training, three times those of its forward passes."""

    kind: Literal["compared"] = "compared"
    arm: Arm
    candidate: str
    seed: int
    tokens: int
    flops: float
    parameters: int
    stopped: str
    scores: GenomeScores | None = None


AnyLine = Born | TrainedLine | Compared
LINE: TypeAdapter[AnyLine] = TypeAdapter(Annotated[AnyLine, Field(discriminator="kind")])


class Timed(_LedgerLine):
    """What the clock said of one training. Throughput: tokens a second of reading."""

    key: str
    seconds: FiniteFloat
    throughput: FiniteFloat
    time_to_target: FiniteFloat | None = None


def key_of(line: AnyLine) -> str:
    match line:
        case Born():
            return f"born {line.candidate}"
        case TrainedLine():
            return f"{line.rung} {line.candidate}"
        case Compared():
            return f"{line.arm} {line.candidate} {line.seed}"


class Ledger:
    """The lines of a run by what they tell of. Errors, of all: LamarckError for a broken line, or a full disk."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.lines: dict[str, AnyLine] = {}
        self.times: dict[str, Timed] = {}
        for line in _read(places.ledger, LINE):
            self.lines[key_of(line)] = line
        for timed in _read(places.clock, TypeAdapter(Timed)):
            self.times[timed.key] = timed

    def add(self, line: AnyLine, timed: Timed | None = None) -> None:
        if timed is not None:
            append_line(self.places.clock, _text(timed))
            self.times[timed.key] = timed
        append_line(self.places.ledger, _text(line))
        self.lines[key_of(line)] = line

    def born(self) -> list[Born]:
        return [line for line in self.lines.values() if isinstance(line, Born)]

    def birth(self, candidate: str) -> Born:
        """Errors: LamarckError for a candidate that was never born."""
        line = self.lines.get(f"born {candidate}")
        if not isinstance(line, Born):
            raise LamarckError(
                f"{self.places.ledger} knows no candidate {candidate}: `lamarck evolve report` lists all"
            )
        return line

    def trained(self, candidate: str, rung: RungName) -> TrainedLine | None:
        line = self.lines.get(f"{rung} {candidate}")
        return line if isinstance(line, TrainedLine) else None

    def compared(self) -> list[Compared]:
        return [line for line in self.lines.values() if isinstance(line, Compared)]


def _text(line: BaseModel) -> str:
    return json.dumps(line.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _read(path: Path, kind: TypeAdapter[Any]) -> Iterator[Any]:
    for number, text in enumerate(whole_lines(path), start=1):
        try:
            yield kind.validate_json(text)
        except ValidationError as error:
            raise LamarckError(
                f"{path} line {number} is not a line of it ({error.errors()[0]['msg']}): restore it"
            ) from error
