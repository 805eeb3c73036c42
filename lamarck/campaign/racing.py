"""Which of many candidates is better than the incumbent? A race over shared blocks, with one risk for the whole of it.

A block is what candidates share so that they can be compared in pairs: a founder seed, a lineage, a data split. A
candidate's evidence is the list of its paired differences to the incumbent, block by block; everything here is a pure
function of the rules and the ledger of scores, so a race resumes from its file, whoever wrote which line when.

Each challenger's evidence becomes a p value that holds at every look (lamarck/campaign/evidence.py says how); Holm's
procedure over all comparisons that the campaign may ever make turns these into verdicts.

The guarantee: the probability that, over the whole campaign (all looks, all candidates, all restarts), anything is
declared better than the incumbent though it is not, is at most `risk`. It assumes that
- blocks are independent of one another, and used in the order of the rules;
- where a candidate is not better, its paired difference on a block is distributed symmetrically about zero or less,
  given the blocks before. Two recipes that differ in luck alone are: swapping them changes nothing. Neither a normal
  distribution, nor a variance, nor equal spread over blocks is assumed; ties and a few possible values do no harm.
- Nothing is assumed about how candidates hang together: they share the incumbent's scores.
It is a statement about the centre of the differences. Where they can be far from symmetric (a rare disaster among
many small gains), it says nothing about their mean.

What it costs: the fortune at most grows by 1.95 a block, so five blocks are the fewest that can show anything at a
risk of 5%, and eight for eight candidates.

Dropping candidates claims nothing and needs no correction. Racing only leaves out: whoever has left does not return.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from lamarck.campaign.evidence import MOST_GROWTH, bounds, centre, fewest_blocks, holm, log_fortune
from lamarck.errors import LamarckError

if TYPE_CHECKING:
    import numpy as np

DECIMALS = 9  # of a difference: scores that mean the same must tie, whatever their last digit

NO_DIFFERENCE: Final = "no difference shown"
Verdict = Literal["better", "no difference shown", "dropped"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rung(_Record):
    """After `blocks` blocks at most `keep` of the challengers that are still undecided go on: those ahead."""

    blocks: int = Field(ge=1)
    keep: int = Field(ge=1)


class RaceRules(_Record):
    """What a race is: fixed before its first score, and never changed afterwards."""

    incumbent: str = Field(min_length=1, description="Whom to beat.")
    challengers: tuple[str, ...] = Field(min_length=1)
    blocks: tuple[str, ...] = Field(min_length=1, description="All blocks that may be used, in this order.")
    risk: float = Field(0.05, gt=0, lt=1, description="Of any false 'better' in the whole campaign.")
    comparisons: int | None = Field(
        None, ge=1, description="Challengers that the whole campaign may ever race; None: those of this race."
    )
    look_every: int = Field(1, ge=1, description="Blocks from one decision to the next.")
    rungs: tuple[Rung, ...] = ()

    @model_validator(mode="after")
    def _fit(self) -> "RaceRules":
        names = (self.incumbent, *self.challengers)
        if len(set(names)) < len(names) or len(set(self.blocks)) < len(self.blocks):
            raise ValueError("a candidate or block occurs twice in the rules of the race")
        if self.family < len(self.challengers):
            raise ValueError(f"comparisons: {self.family} is less than the {len(self.challengers)} challengers")
        rungs = [(rung.blocks, -rung.keep) for rung in self.rungs]
        if rungs != sorted(set(rungs)) or len({blocks for blocks, _ in rungs}) < len(rungs):
            raise ValueError("rungs must come in order, each after more blocks than the one before")
        if any(later.keep > earlier.keep for earlier, later in zip(self.rungs, self.rungs[1:], strict=False)):
            raise ValueError("a rung cannot keep more than the one before: racing only leaves out")
        if rungs and rungs[-1][0] > len(self.blocks):
            raise ValueError(f"the last rung comes after {rungs[-1][0]} blocks, and there are {len(self.blocks)}")
        fewest = fewest_blocks(self.family, self.risk)
        if len(self.blocks) < fewest:
            raise ValueError(
                f"{len(self.blocks)} blocks can show nothing at a risk of {self.risk:g} over {self.family} "
                f"comparisons: give at least {fewest} blocks, or race fewer candidates"
            )
        return self

    @property
    def family(self) -> int:
        """How many comparisons share the risk."""
        return len(self.challengers) if self.comparisons is None else self.comparisons

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many blocks decisions are taken."""
        regular = range(self.look_every, len(self.blocks), self.look_every)
        return tuple(sorted({*regular, *(rung.blocks for rung in self.rungs), len(self.blocks)}))


class Observation(_Record):
    """A line of the ledger: a score, of which more is better."""

    kind: Literal["score"] = "score"
    candidate: str
    block: str
    score: FiniteFloat


class Withdrawal(_Record):
    """A line of the ledger: this candidate could not be run on. It leaves at its first block without a score.

    A block that is only skipped would bias the race: what fails is seldom what would have scored well.
    """

    kind: Literal["withdrawal"] = "withdrawal"
    candidate: str
    reason: str


Entry = Annotated[Observation | Withdrawal, Field(discriminator="kind")]


class NextRun(NamedTuple):
    candidate: str
    block: str


class CentreInterval(_Record):
    """For the centre of the differences, in the unit of the scores; it holds the estimate. None: too few blocks to say.

    All intervals of a campaign hold together and at all times, each side at the campaign's risk.
    """

    low: float | None
    high: float | None


class ChallengerStanding(_Record):
    """Where one challenger stands."""

    candidate: str
    verdict: Verdict
    reason: str  # why it was dropped; else empty
    going: bool  # it is still raced: "no difference shown" is what holds so far
    blocks: int  # on which it was compared
    estimate: float | None  # centre of the paired differences (Hodges and Lehmann); None before the first block
    sigma: float | None  # standard deviation of the paired difference; None before the second block
    interval: CentreInterval
    p_value: float  # holds at every look; of this comparison alone
    p_adjusted: float  # Holm over the campaign's comparisons: "better" where it is at most the risk


@dataclass(frozen=True)
class Race:
    """A race as far as its ledger goes."""

    rules: RaceRules
    blocks: int  # that were decided upon
    going: tuple[str, ...]  # challengers that are still raced, in the order of the rules
    better: tuple[str, ...]  # than the incumbent, in the order in which that was shown
    dropped: Mapping[str, str]  # challenger -> why
    differences: Mapping[str, tuple[float, ...]]  # challenger -> to the incumbent, of the blocks it was compared on
    p_values: Mapping[str, float]  # challenger -> p of this comparison alone
    p_adjusted: Mapping[str, float]  # challenger -> Holm's, over the campaign's comparisons
    next_runs: tuple[
        NextRun, ...
    ]  # before the next decision, in any order, side by side if you like; none when finished
    runs: int  # scores that the race has used

    @property
    def finished(self) -> bool:
        return not self.next_runs

    @property
    def risk_spent(self) -> float:
        """How much of the campaign's risk the challengers looked at so far have used up."""
        seen = sum(bool(differences) for differences in self.differences.values())
        return self.rules.risk * seen / self.rules.family


def race(rules: RaceRules, ledger: Iterable[Observation | Withdrawal]) -> Race:
    """The race as the ledger tells it. The order of its lines does not matter, nor do scores that were not asked for.

    Errors: LamarckError for two different scores of one run, an unknown candidate or block, a withdrawn incumbent.
    """
    import numpy as np

    names = (rules.incumbent, *rules.challengers)
    scores = np.full((len(names), len(rules.blocks)), np.nan)
    rows = {name: row for row, name in enumerate(names)}
    columns = {block: column for column, block in enumerate(rules.blocks)}
    withdrawn: dict[str, str] = {}
    for entry in ledger:
        if entry.candidate not in rows:
            raise LamarckError(f"the ledger speaks of {entry.candidate}, whom the rules of the race do not name")
        if isinstance(entry, Withdrawal):
            withdrawn[entry.candidate] = entry.reason
            continue
        if entry.block not in columns:
            raise LamarckError(f"the ledger speaks of the block {entry.block}, which the rules of the race do not name")
        at = rows[entry.candidate], columns[entry.block]
        if not math.isnan(scores[at]) and scores[at] != entry.score:
            raise LamarckError(
                f"the ledger has two scores of {entry.candidate} on {entry.block}, {scores[at]:g} and {entry.score:g}: "
                "remove the one that is not of this race"
            )
        scores[at] = entry.score
    if rules.incumbent in withdrawn:
        raise LamarckError(
            f"the incumbent {rules.incumbent} was withdrawn: without it there is nothing to compare with"
        )
    return decide(rules, scores, withdrawn)


def verdicts(race: Race) -> tuple[ChallengerStanding, ...]:
    """Where each challenger stands, in the order of the rules."""
    import numpy as np

    standings = []
    for name in race.rules.challengers:
        differences = np.array(race.differences[name])
        few = len(differences) < 2
        low, high = bounds(differences, race.rules.risk / race.rules.family)
        standings.append(
            ChallengerStanding(
                candidate=name,
                verdict="better" if name in race.better else "dropped" if name in race.dropped else NO_DIFFERENCE,
                reason=race.dropped.get(name, ""),
                going=name in race.going,
                blocks=len(differences),
                estimate=round(centre(differences), DECIMALS) if len(differences) else None,
                sigma=None if few else round(float(differences.std(ddof=1)), DECIMALS),
                interval=CentreInterval(low=low, high=high),
                p_value=race.p_values[name],
                p_adjusted=race.p_adjusted[name],
            )
        )
    return tuple(standings)


def decide(rules: RaceRules, scores: "np.ndarray", withdrawn: Mapping[str, str] | None = None) -> Race:
    """The race over `scores`, candidates (the incumbent first) x blocks, NaN where there is none yet.

    Decisions are taken at looks alone, from blocks on which everyone who was going has a score: who runs on a block is
    settled before any result of that block is known.
    """
    import numpy as np

    withdrawn = withdrawn or {}
    differences = np.round(scores[1:] - scores[0], DECIMALS)
    fortunes = log_fortune(differences)
    row = {name: number for number, name in enumerate(rules.challengers)}
    going = list(rules.challengers)
    counted = dict.fromkeys(rules.challengers, 0)
    hopes = dict.fromkeys(rules.challengers, 0.0)  # logarithm of the fortune now
    best = dict.fromkeys(rules.challengers, 0.0)  # and of the largest so far
    better: list[str] = []
    dropped: dict[str, str] = {}
    keep = {rung.blocks: rung.keep for rung in rules.rungs}
    missing: list[NextRun] = []
    decided = 0
    for start, look in zip((0, *rules.looks), rules.looks, strict=False):
        for name in [each for each in going if each in withdrawn and np.isnan(scores[1 + row[each], start:look]).any()]:
            going.remove(name)
            dropped[name] = f"withdrawn: {withdrawn[name]}"
        if not going:
            break
        missing = [
            NextRun(name, rules.blocks[block])
            for block in range(start, look)
            for name in (rules.incumbent, *going)
            if np.isnan(scores[0 if name == rules.incumbent else 1 + row[name], block])
        ]
        if missing:
            break
        decided = look
        for name in going:
            counted[name] = look
            hopes[name] = float(fortunes[row[name], look - 1])
            best[name] = float(fortunes[row[name], :look].max(initial=0.0))
        found = [name for name, p in holm(best, rules.family).items() if p <= rules.risk and name in going]
        better += found
        going = [name for name in going if name not in found]
        # What the others could still bring about: Holm asks less of the last one when all the rest are better.
        needed = math.log(max(1, rules.family - len(better) - max(0, len(going) - 1)) / rules.risk)
        left = len(rules.blocks) - look
        reach = {name: max(best[name], hopes[name] + left * MOST_GROWTH) for name in going}
        if left:
            gone = [name for name in going if reach[name] < needed]
            dropped |= dict.fromkeys(gone, f"the {left} blocks that are left cannot show it to be better any more")
            going = [name for name in going if name not in gone]
        if look in keep:
            ahead = sorted(going, key=lambda name: -centre(differences[row[name], :look]))  # ties: as the rules have it
            gone = ahead[keep[look] :]
            dropped |= dict.fromkeys(gone, f"not among the {keep[look]} ahead after {look} blocks")
            going = [name for name in going if name not in gone]
    return Race(
        rules=rules,
        blocks=decided,
        going=tuple(going) if missing else (),
        better=tuple(better),
        dropped=dropped,
        differences={name: tuple(differences[row[name], :seen].tolist()) for name, seen in counted.items()},
        p_values={name: math.exp(-fortune) for name, fortune in best.items()},
        p_adjusted=holm(best, rules.family),
        next_runs=tuple(missing),
        runs=decided + sum(counted.values()),
    )


def most_runs(rules: RaceRules) -> int:
    """The most scores that a race can ask for, the incumbent's included: what its budget must allow."""
    keep = {rung.blocks: rung.keep for rung in rules.rungs}
    members = len(rules.challengers)
    runs = 0
    for block in range(1, len(rules.blocks) + 1):
        runs += 1 + members
        members = min(members, keep.get(block, members))
    return runs


def successive_halving(candidates: int, blocks: int, eta: int = 2) -> tuple[Rung, ...]:
    """Rungs that keep one in `eta`, rounded down, after `blocks` blocks, then after `eta` times as many, and so on
    until one is left (Jamieson and Talwalkar 2016, arXiv:1502.07943)."""
    rungs = []
    while candidates > 1:
        candidates = max(1, candidates // eta)
        rungs.append(Rung(blocks=blocks, keep=candidates))
        blocks *= eta
    return tuple(rungs)
