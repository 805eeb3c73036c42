"""The nights of a ratchet as evidence: every proposal a line of a file that is committed, and the table of all of them.

A night is of one machine and of one plan; further nights, here or elsewhere, add to the proposals that are asked for.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat

from lamarck.files import write_jsonl
from lamarck.gate.night import read_ratchet_plan
from lamarck.lineage.contents import read_rows
from lamarck.ratchet.file import RatchetFile, load_ratchet
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.promotion import promoted
from lamarck.ratchet.rows import Row, rows, signed


class ProposalLine(BaseModel):
    """One proposal that is closed; number 0 is the unmodified files. `difference`, with bounds that hold for the whole
    night: to the incumbent, on fresh seeds, more is better. `seconds`: wall seconds of its runs and of those beside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    night: str
    machine: str
    number: int
    status: str
    metric: FiniteFloat | None
    pairs: int
    difference: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    seconds: FiniteFloat
    description: str
    why: str
    promoted: str | None = None  # of number 0: what was kept, on seeds that chose nothing


def write_evidence(files: NightFiles, path: Path) -> str:
    """Put the night's proposals into the file in the place of its earlier ones, and return the table of all nights."""
    file = load_ratchet(files.file).file
    plan = read_ratchet_plan(files.plan)
    found = promoted(files)
    own = [
        _proposal(file, files.tag, plan.machine, row, found.sentence if found and row.number == 0 else None)
        for row in rows(read_ledger(files.ledger), plan.base)
        if row.status
    ]
    others = [each for each in read_evidence(path) if each.night != files.tag]
    every = sorted([*others, *own], key=lambda each: (each.night, each.number))
    write_jsonl(path, (each.model_dump(mode="json") for each in every))
    return as_markdown(file, every)


def read_evidence(path: Path) -> list[ProposalLine]:
    """Errors: LamarckError that names a broken line."""
    return read_rows(ProposalLine, path, "is not a proposal: restore it") if path.exists() else []


def _proposal(file: RatchetFile, night: str, machine: str, row: Row, said: str | None) -> ProposalLine:
    pairs, *numbers = row.confirmed(file)
    middle, low, high = (None if value is None else float(f"{value:.6g}") for value in numbers)
    return ProposalLine(
        night=night,
        machine=machine.partition(", ")[2],  # its processor and cores; whose it is says nothing
        number=row.number,
        status=row.status,
        metric=row.metric,
        pairs=pairs,
        difference=middle,
        low=low,
        high=high,
        seconds=round(row.seconds, 1),
        description=row.description,
        why=row.why,
        promoted=said,
    )


def as_markdown(file: RatchetFile, every: Sequence[ProposalLine]) -> str:
    proposals = [each for each in every if each.number]
    nights = list(dict.fromkeys(each.night for each in every))
    lines = [f"{len(proposals)} of {file.experiments} proposals are measured.", ""]
    if nights:
        lines += [
            f"| night | proposals | crashed | confirmed | kept | {file.metric} | on seeds that chose nothing |",
            "|---|---:|---:|---:|---:|---|---|",
        ]
        lines += [_night(night, [each for each in every if each.night == night]) for night in nights]
        lines += [""]
    kept = [each for each in proposals if each.status == "keep"]
    for each in kept:
        lines += [f"- {each.night} {each.number}: {each.description}: {_told(each)} on {each.pairs} fresh seeds."]
    lines += [""] if kept else []
    return "\n".join([*lines, forecast(file, every)]) + "\n"


def _night(night: str, own: Iterable[ProposalLine]) -> str:
    baseline, *proposals = own
    kept = [each for each in proposals if each.status == "keep"]
    last = (kept or [baseline])[-1]
    cells = [
        night,
        *(
            str(sum(keeps(each) for each in proposals))
            for keeps in (
                lambda each: True,
                lambda each: each.status == "crash",
                lambda each: each.pairs > 0,
                lambda each: each.status == "keep",
            )
        ),
        f"{baseline.metric:.4f} to {last.metric:.4f}"
        if baseline.metric is not None and last.metric is not None
        else "",
        baseline.promoted or "",
    ]
    return f"| {' | '.join(cells)} |"


def _told(each: ProposalLine) -> str:
    middle, low, high = map(signed, (each.difference, each.low, each.high))
    return f"{middle} [{low}, {high}]"


def forecast(file: RatchetFile, every: Sequence[ProposalLine]) -> str:
    """From the mean of the proposals so far: few of them take most of the time, so a median would say too little."""
    done = [each.seconds for each in every if each.number]
    left = max(0, file.experiments - len(done))
    if not left:
        return "Nothing is left to measure."
    if not done:
        return f"Left: {left} proposals; how long they take is said when the first are closed."
    hours = left * sum(done) / len(done) / 3600
    return f"Left: {left} proposals, about {hours:.1f} hours, from the mean of the {len(done)} measured so far."
