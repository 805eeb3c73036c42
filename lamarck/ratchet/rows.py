"""What a ledger comes to, a row a proposal: results.tsv with autoresearch's columns, and intervals beside it. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from lamarck.ratchet.file import RatchetFile
from lamarck.ratchet.night import DecidedLine, Proposed, Ran
from lamarck.ratchet.verdict import estimate, interval
from lamarck.visible import visible

NEAR_MISSES = 3


def signed(value: float | None) -> str:
    """A difference or a bound of one, as people read it; `?` where too few pairs have none."""
    return "?" if value is None else f"{value:+.4g}"


class Confirmed(NamedTuple):
    """What a row's pairs show: the centre of its differences to the incumbent, more is better, with bounds that hold
    for the whole night. None: no pairs, or too few to say."""

    pairs: int
    middle: float | None
    low: float | None
    high: float | None


@dataclass
class Row:
    """`metric`: the mean over the fresh seeds where there were any, else of its one run; None where it has none.

    `differences`: to the incumbent, paired, of which more is better.
    """

    number: int
    commit: str
    description: str
    status: str = ""
    why: str = ""
    claim: str = ""
    p_value: float | None = None
    nodes: int = 0
    screened: float | None = None
    memory_gb: float = 0.0
    seconds: float = 0.0
    caught: tuple[str, ...] = ()
    own: dict[int, float] = field(default_factory=dict)
    other: dict[int, float] = field(default_factory=dict)

    @property
    def metric(self) -> float | None:
        return math.fsum(self.own.values()) / len(self.own) if self.own else self.screened

    def differences(self, sign: int) -> list[float]:
        return [sign * (self.own[pair] - self.other[pair]) for pair in self.own if pair in self.other]

    def confirmed(self, file: RatchetFile) -> Confirmed:
        differences = self.differences(file.sign)
        return Confirmed(len(differences), estimate(differences), *interval(differences, file.rigor))


def rows(lines: Iterable[Ran | Proposed | DecidedLine], base: str) -> list[Row]:
    """The unmodified files first, as `baseline`; then every proposal that is closed, and the open one, status empty."""
    baseline = Row(0, base, "baseline", status="keep")
    found = [baseline]
    for line in lines:
        row = found[-1]
        match line:
            case Ran(candidate=False, stage="baseline"):
                _add(baseline, line)
                if line.metric is not None:
                    baseline.own[line.pair] = line.metric
            case Ran(candidate=False):
                row.seconds += line.seconds
                if line.metric is not None:
                    row.other[line.pair] = line.metric
            case Ran():
                _add(row, line)
                row.caught = tuple(dict.fromkeys((*row.caught, *line.caught)))
                if line.stage == "screen":
                    row.screened = line.metric
                elif line.metric is not None:
                    row.own[line.pair] = line.metric
            case Proposed():
                made = Row(line.number, line.commit, line.description, nodes=line.nodes, caught=line.caught)
                if row.number == line.number:  # it was mended
                    before = found.pop()
                    made.seconds, made.caught = before.seconds, tuple(dict.fromkeys((*before.caught, *line.caught)))
                found.append(made)
            case DecidedLine():
                row.status, row.why, row.p_value = line.status, line.why, line.p_value
                row.claim = line.claim or ""
                row.commit = line.commit or row.commit
    return found if baseline.own else []


def _add(row: Row, line: Ran) -> None:
    row.seconds += line.seconds
    row.memory_gb = max(row.memory_gb, line.memory_gb)


def results_tsv(file: RatchetFile, found: Iterable[Row]) -> str:
    """autoresearch's: commit, the metric, memory_gb, status, description. A crash is 0.000000; what never ran is nan,
    so that its notebook draws no point for it."""
    lines = [("commit", file.metric, "memory_gb", "status", "description")]
    for row in found:
        if row.status:
            crashed = row.status == "crash"
            metric = 0.0 if crashed else math.nan if row.metric is None else row.metric
            memory = 0.0 if crashed else row.memory_gb
            said = (row.description.split(" [")[0],) if row.number == 0 else (row.description, f"[{row.why}]")
            printed = "" if file.trust == "scored" else " [printed by the subject]"
            text = plain(" ".join(said))
            lines.append((row.commit[:7] or "-" * 7, f"{metric:.6f}", f"{memory:.1f}", row.status, text + printed))
    return _tsv(lines)


def intervals_tsv(file: RatchetFile, found: Iterable[Row]) -> str:
    """Of every proposal that is closed, confirmed or not: what its pairs show, and what it was caught at."""
    heading = ("proposal", "commit", "status", "trust", "claim", "pairs", "difference", "low", "high", "p",
               "more_nodes", "seconds", "caught")  # fmt: skip
    lines: list[tuple[str, ...]] = [heading]
    for row in found:
        if row.number and row.status:
            pairs, *numbers = row.confirmed(file)
            shown = tuple("" if value is None else f"{value:.6g}" for value in (*numbers, row.p_value))
            caught = plain("; ".join(row.caught))
            lines.append(
                (str(row.number), row.commit[:7] or "-" * 7, row.status, file.trust, row.claim, str(pairs),
                 *shown, str(row.nodes), f"{row.seconds:.1f}", caught)
            )  # fmt: skip
    return _tsv(lines)


def near_misses(file: RatchetFile, found: Iterable[Row]) -> list[Row]:
    """What was let go though it was ahead, best first: of what was confirmed, by its mean difference."""
    ahead = [
        (math.fsum(differences) / len(differences), row)
        for row in found
        if row.status == "discard" and (differences := row.differences(file.sign)) and math.fsum(differences) > 0
    ]
    return [row for _, row in sorted(ahead, key=lambda each: (-each[0], each[1].number))[:NEAR_MISSES]]


def plain(text: str) -> str:
    """For a cell: autoresearch's tables have no tabs and no commas, and a quotation mark would take the lines behind it
    along where pandas reads them."""
    return visible(" ".join(text.replace(",", ";").replace('"', "'").split()), 300)


def _tsv(lines: Iterable[tuple[str, ...]]) -> str:
    return "".join("\t".join(line) + "\n" for line in lines)
