"""A night as its ledger tells it: who the incumbent is, what a proposal has shown, and what to do next. Pure.

Everything is told by the ledger's lines in their order, so a night that was killed goes on from them.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from lamarck.errors import LamarckError
from lamarck.ratchet.file import RatchetFile
from lamarck.ratchet.verdict import Claim, Finding, Rigor, Simplicity, confirm, passes_screen
from lamarck.seeds import seed_for

Status = Literal["keep", "discard", "crash"]
Stage = Literal["baseline", "screen", "confirm", "again"]
PROMOTION = "promotion"  # what its seeds are drawn for, beside the stages
MOST_LOST = 2  # runs of the incumbent that may fail in a row: it ran before

FEWEST_TO_TELL = 3  # runs that are all alike, before that means something
BASELINE = 0  # the number of the unmodified files, among proposals


class _NightLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ran(_NightLine):
    """One experiment. `metric`: as the subject's user reads it; None where it failed, and `failure` says why. `caught`:
    what it tried that nothing comes of.

    `seconds` are wall seconds of its rooms; `memory_gb` is what the subject itself says, or its process used.
    """

    kind: Literal["run"] = "run"
    proposal: int
    candidate: bool  # False: the incumbent, at the time of this proposal
    stage: Stage
    pair: int
    seed: int
    metric: FiniteFloat | None
    memory_gb: float = 0.0
    seconds: float = 0.0
    failure: str = ""
    caught: tuple[str, ...] = ()


class Proposed(_NightLine):
    """What an agent handed in. `refused`: why none of it was run. `caught`: what it tried beside that."""

    kind: Literal["proposal"] = "proposal"
    number: int
    commit: str
    description: str
    nodes: int  # of the syntax tree, more than the incumbent has
    digest: str = ""  # of the mutable files
    refused: str = ""
    failure: str = ""  # found without running it
    caught: tuple[str, ...] = ()
    mends: int = 0  # how often it was mended after a crash


class DecidedLine(_NightLine):
    """What became of a proposal."""

    kind: Literal["closed"] = "closed"
    number: int
    status: Status
    why: str
    claim: Claim | None = None
    p_value: float | None = None
    commit: str = ""  # of what was kept, with its evidence
    margin: float = 0.0  # what a keep for simplicity spends of the allowance


Line = Annotated[Ran | Proposed | DecidedLine, Field(discriminator="kind")]
LINE: TypeAdapter[Ran | Proposed | DecidedLine] = TypeAdapter(Line)


@dataclass(frozen=True)
class NextExperiment:
    """An experiment to do next: of the candidate, or of the incumbent."""

    candidate: bool
    stage: Stage
    pair: int
    seed: int


@dataclass(frozen=True)
class Propose:
    """Ask the agent."""

    number: int


@dataclass(frozen=True)
class Mend:
    """The candidate crashed: the agent may mend it."""

    number: int
    failure: str


@dataclass(frozen=True)
class Stop:
    """Nothing more can come of this night."""

    why: str


Next = NextExperiment | Propose | Mend | Stop | DecidedLine


@dataclass
class Open:
    """A proposal that is not closed yet. Scores: of which more is better."""

    proposed: Proposed
    screened: float | None = None
    candidate: dict[int, float] = field(default_factory=dict)  # pair -> score
    incumbent: dict[int, float] = field(default_factory=dict)
    failure: str = ""

    @property
    def differences(self) -> list[float]:
        return [self.candidate[pair] - self.incumbent[pair] for pair in self.candidate if pair in self.incumbent]


@dataclass
class Night:
    """`sign`: 1 where more of the metric is better, else -1. `seed`: of which all other seeds follow."""

    rigor: Rigor
    simplicity: Simplicity
    sign: int
    seed: int
    mends: int = 0  # that a proposal may have
    runs: list[float] = field(default_factory=list)  # scores of the incumbent as it is
    squares: float = 0.0  # of deviations from their means, over all incumbents
    freedom: int = 0  # degrees of freedom of `squares`
    baseline: list[float] = field(default_factory=list)  # scores of the unmodified files, from before anything else
    commit: str = ""  # of the incumbent; empty: the files as they were
    kept: list[int] = field(default_factory=list)
    number: int = 0  # of the last proposal
    open: Open | None = None
    confirmations: int = 0
    spent: float = 0.0  # of the allowance
    device_seconds: float = 0.0
    lost: int = 0  # runs of the incumbent that failed since its last good one
    failure: str = ""  # of the last of them

    @property
    def sigma(self) -> float:
        """Standard deviation of a run, between seeds of the same files; pooled over incumbents."""
        return math.sqrt(self.squares / self.freedom) if self.freedom else 0.0

    def apply(self, line: Ran | Proposed | DecidedLine) -> None:
        """Errors: LamarckError where the line does not follow from those before."""
        match line:
            case Ran():
                self.device_seconds += line.seconds
                self._ran(line)
            case Proposed():
                again = self.open is not None and line.number == self.open.proposed.number
                if not again and (self.open or line.number != self.number + 1):
                    raise LamarckError(f"proposal {line.number} comes out of turn")
                self.number = line.number
                self.open = Open(line, failure=line.failure)
            case DecidedLine():
                if self.open is None or self.open.proposed.number != line.number:
                    raise LamarckError(f"proposal {line.number} is closed, but not open")
                self._closed(line, self.open)

    def _ran(self, line: Ran) -> None:
        score = None if line.metric is None else self.sign * line.metric
        if not line.candidate:
            self.lost = self.lost + 1 if score is None else 0
            if score is None:
                self.failure = line.failure
                return
            self._learn(score)
            if line.stage == "baseline":
                self.baseline.append(score)
            elif self.open:
                self.open.incumbent[line.pair] = score
            return
        if self.open is None or self.open.proposed.number != line.proposal:
            raise LamarckError(f"a run of proposal {line.proposal}, which is not open")
        if score is None:
            self.open.failure = line.failure
        elif line.stage == "screen":
            self.open.screened = score
        else:
            if not self.open.candidate:
                self.confirmations += 1
            self.open.candidate[line.pair] = score

    def _learn(self, score: float) -> None:
        """One more run of the incumbent (Welford 1962)."""
        if self.runs:
            count = len(self.runs)
            deviation = score - math.fsum(self.runs) / count
            self.squares += deviation * deviation * count / (count + 1)
            self.freedom += 1
        self.runs.append(score)

    def _closed(self, line: DecidedLine, closed: Open) -> None:
        if line.status == "keep":
            self.commit = line.commit or closed.proposed.commit
            self.kept.append(line.number)
            self.spent += line.margin
            self.runs = []
            for score in closed.candidate.values():
                self._learn(score)
        self.open = None

    def claim(self, proposed: Proposed) -> tuple[Claim, float]:
        """What a proposal has to show, and the margin of that."""
        simpler = -proposed.nodes >= self.simplicity.fewer_nodes
        margin = self.simplicity.margin
        # An allowance is a sum of margins, and three tenths are not exactly three times one.
        if simpler and margin and self.spent + margin <= self.simplicity.allowance * (1 + 1e-9):
            return "simpler", margin
        return "better", 0.0

    def next(self) -> Next:
        """What to do next. A `DecidedLine` is to be written down, and what it says to be done."""
        if self.lost > MOST_LOST:
            return Stop(
                f"the files that are kept fail by themselves ({self.failure}): mend them and start another night"
            )
        if len(self.baseline) < self.rigor.baseline_runs:
            pair = len(self.baseline)
            return NextExperiment(False, "baseline", pair, self._seed("baseline", pair, self.lost))
        if self.open is None:
            if self.confirmations >= self.rigor.confirmations:
                return Stop(f"the night's {self.rigor.confirmations} confirmations are used, and its risk is spent")
            return Propose(self.number + 1)
        return self._of_open(self.open)

    def _of_open(self, current: Open) -> Next:
        proposed = current.proposed
        number = proposed.number
        if proposed.refused:
            return DecidedLine(number=number, status="discard", why=proposed.refused)
        if current.failure:
            if proposed.mends < self.mends and is_simple(current.failure):
                return Mend(number, current.failure)
            return DecidedLine(number=number, status="crash", why=current.failure)
        if current.screened is None:
            return NextExperiment(True, "screen", 0, self._seed("screen", number))
        claim, margin = self.claim(proposed)
        asked = margin if claim == "simpler" else None
        if not passes_screen(current.screened, self.runs, self.sigma, self.rigor, asked):
            return DecidedLine(number=number, status="discard", why="not ahead in the screening run", claim=claim)
        if _luck_is_fixed(current):
            why = "its score is the same whatever the seed, while the incumbent's is not: its luck is fixed"
            return DecidedLine(number=number, status="discard", why=why, claim=claim)
        finding = confirm(current.differences, self.rigor, claim, margin)
        if finding.decided is not None:
            return self._verdict(current, claim, margin, finding)
        return self._next_of_pair(current)

    def _next_of_pair(self, current: Open) -> NextExperiment:
        """Pairs are interleaved, and who runs first alternates: a machine that slows down favours nobody."""
        number, pair = current.proposed.number, len(current.differences)
        seed = self._seed("confirm", number, pair)
        first = pair % 2 == 0
        for candidate in (first, not first):
            if pair not in (current.candidate if candidate else current.incumbent):
                return NextExperiment(candidate, "confirm", pair, seed)
        raise AssertionError("a pair whose runs are there has a difference")

    def _verdict(self, current: Open, claim: Claim, margin: float, finding: Finding) -> DecidedLine:
        proposed = current.proposed
        said = DecidedLine(
            number=proposed.number,
            status="keep" if finding.decided else "discard",
            why=finding.why,
            claim=claim,
            p_value=finding.p_value,
        )
        if not finding.decided:
            return said
        if claim == "simpler":
            return said.model_copy(update={"margin": margin})
        gain = math.fsum(current.differences) / len(current.differences)
        if gain < self.simplicity.ugly_gain and proposed.nodes > self.simplicity.ugly_nodes:
            why = f"better, but by {gain:.3g} for {proposed.nodes} more nodes: the rules call that ugly"
            return said.model_copy(update={"status": "discard", "why": why})
        return said

    def _seed(self, *names: object) -> int:
        return _seed_of(self.seed, *names)


def seeds_of(file: RatchetFile) -> set[int]:
    """All seeds that a night and its promotion can ever ask for."""
    rigor, proposals = file.rigor, range(1, file.experiments + 1)
    names: list[tuple[object, ...]] = [
        *(("baseline", pair, lost) for pair in range(rigor.baseline_runs) for lost in range(MOST_LOST + 1)),
        *(("screen", number) for number in proposals),
        *(("confirm", number, pair) for number in proposals for pair in range(rigor.pairs)),
        *((PROMOTION, pair) for pair in range(file.promotion.pairs)),
    ]
    return {_seed_of(file.seed, *each) for each in names}


def _seed_of(seed: int, *names: object) -> int:
    return seed_for(seed, *map(str, names))


def _luck_is_fixed(current: Open) -> bool:
    """Whether a candidate ignores the seed: on fresh ones, too, it then shows the luck of its own."""
    own = [current.candidate[pair] for pair in current.candidate if pair in current.incumbent]
    return len(own) >= FEWEST_TO_TELL and len(set(own)) == 1 and len(set(current.incumbent.values())) > 1


# What a word of an agent's may mend: the first words of the last line of a Python trace.
SIMPLE = ("SyntaxError", "IndentationError", "NameError", "ImportError", "ModuleNotFoundError", "AttributeError",
          "TypeError", "UnboundLocalError", "KeyError", "IndexError")  # fmt: skip


def is_simple(failure: str) -> bool:
    """Whether a crash is a slip, and not an idea that does not work (no memory, no time, a loss without bounds)."""
    return any(f"{name}:" in failure for name in SIMPLE)
