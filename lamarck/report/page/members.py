"""Who is in the lineage: every generation under results/, its artifacts as they lie there, and its gate. Light.

Whether an artifact is what its record says is decided by its bytes, and whether it still fits its parents by the
digests that its record names: both need results/ alone.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import digest_file
from lamarck.gate.approval import read_approval
from lamarck.gate.check import gate_state
from lamarck.gate.plan import plan_digest, read_plan
from lamarck.gate.signature import signature_of
from lamarck.lineage import (
    ADAPTER_RECORD,
    STUDENT,
    WEIGHTS_RECORD,
    Generation,
    Record,
    adapter_digest,
    generation_digest,
    parse_generation,
    read_record,
    weights_digest,
)
from lamarck.lineage.freshness import scores_digest
from lamarck.report.page.shown import Shown

RESULTS = Path("results")

State = Literal["absent", "whole", "missing", "altered", "unreadable", "outdated"]
GONE = "is not there"
BROKEN: tuple[State, ...] = ("missing", "altered", "unreadable", "outdated")


class Piece(Shown):
    """One artifact as it lies there. absent: never made. missing: its record is there and it is not, or the reverse.
    altered: its bytes are not what its record states. outdated: its record names another parent than the one here."""

    kind: str
    path: str
    state: State
    sentence: str = ""
    stated: str | None = None  # digest in the record
    found: str | None = None  # digest of the bytes that lie there
    record: Record | None = None


class Gate(Shown):
    """What was asked and who answered. `sentence` says why an answer does not hold today."""

    plan: str | None
    state: Literal["not planned", "waiting", "open", "refused"]
    sentence: str
    plan_content: dict[str, Any] | None = None
    approved_plan: str | None = None
    by: str | None = None
    contact: str | None = None
    date: str | None = None
    expires: str | None = None
    note: str = ""
    signed: bool = False


class Member(Shown):
    name: str
    number: int
    lane: str  # the prefix under results/: "" is the main lineage
    parent: str | None
    pieces: list[Piece]
    gate: Gate | None

    @property
    def generation(self) -> Generation:
        return Generation(self.number, self.lane)

    @property
    def is_control(self) -> bool:
        return self.generation.is_control

    @property
    def is_there(self) -> bool:
        return any(piece.state != "absent" for piece in self.pieces)


def find_members(config: Config) -> list[Member]:
    """Every generation found under results/, and those of the main lineage that are still to come."""
    names = {f"g{number}" for number in range(config.generations + 1)}
    for path in RESULTS.rglob("g*"):
        if path.is_dir() and re.fullmatch(r"g\d+", path.name):
            names.add(path.relative_to(RESULTS).as_posix())
    generations = [parse_generation(name) for name in names if re.fullmatch(r"(?:[\w-]+/)*g\d+", name)]
    return [_member(each) for each in sorted(generations, key=lambda each: (each.prefix, each.number))]


def _member(generation: Generation) -> Member:
    founder = generation.number == 0
    return Member(
        name=generation.name,
        number=generation.number,
        lane=generation.prefix,
        parent=None if founder else generation.parent.name,
        pieces=_gone_since(_founder_pieces(generation) if founder else _pieces(generation)),
        gate=None if founder or generation.is_control else _gate(generation),
    )


def _gone_since(pieces: list[Piece]) -> list[Piece]:
    """What was made from a thing that is not there shows that it was there: it is missing, not still to come."""
    last = max((place for place, piece in enumerate(pieces) if piece.state != "absent"), default=0)
    sentence = f"{GONE}: what was made from it is there"
    return [
        piece.model_copy(update={"state": "missing", "sentence": f"{piece.path} {sentence}"})
        if piece.state == "absent" and place < last
        else piece
        for place, piece in enumerate(pieces)
    ]


def _founder_pieces(generation: Generation) -> list[Piece]:
    weights = generation.weights
    return [
        _piece("weights", (weights,), weights / WEIGHTS_RECORD, lambda: weights_digest(weights)),
        _piece("student", (STUDENT,), STUDENT / WEIGHTS_RECORD, lambda: weights_digest(STUDENT)),
        _scores(generation),
    ]


def _pieces(generation: Generation) -> list[Piece]:
    """In the order in which they are made from one another."""
    curriculum, adapter = generation.curriculum, generation.adapter
    parent = {"parent": lambda: generation_digest(generation.parent)}
    training = {
        "plan": lambda: digest_file(generation.plan),
        "curriculum": lambda: digest_file(curriculum),
        **parent,
    }
    return [
        _piece("curriculum", (curriculum,), generation.card, lambda: digest_file(curriculum), parent),
        *([] if generation.is_control else [_plan(generation)]),
        _piece("adapter", (adapter,), adapter / ADAPTER_RECORD, lambda: adapter_digest(adapter), training),
        _scores(generation),
    ]


def _scores(generation: Generation) -> Piece:
    return _piece(
        "scores",
        (generation.scores, generation.samples),
        generation.scores_record,
        lambda: scores_digest(generation.scores, generation.samples),
        {"model": lambda: generation_digest(generation), "student": lambda: weights_digest(STUDENT)},
    )


def _piece(
    kind: str,
    files: tuple[Path, ...],
    record_file: Path,
    digest: Callable[[], str],
    inputs: dict[str, Callable[[], str]] | None = None,
) -> Piece:
    """`inputs`: those of the record's inputs that lie under results/ -> what their digest is now."""
    path = str(files[0])
    gone = [str(file) for file in (*files, record_file) if not file.exists()]
    if len(gone) == len(files) + 1:
        return Piece(kind=kind, path=path, state="absent")
    try:
        record = read_record(record_file) if record_file.exists() else None
    except LamarckError as error:
        return Piece(kind=kind, path=path, state="unreadable", sentence=str(error))
    stated = record.digest if record else None
    if record is None or gone:
        sentence = f"{', '.join(gone)} {GONE}: restore it with `dvc pull`, or let `snakemake` make it again"
        return Piece(kind=kind, path=path, state="missing", sentence=sentence, stated=stated, record=record)
    found = digest()
    if found != stated:
        state: State = "altered"
        sentence = "its bytes are not what its record states: restore it with `dvc checkout`"
    else:
        sentence = _outdated(record, inputs or {})
        state = "outdated" if sentence else "whole"
    return Piece(kind=kind, path=path, state=state, sentence=sentence, stated=stated, found=found, record=record)


def _plan(generation: Generation) -> Piece:
    """A plan has no record: what states its digest is the approval."""
    path = str(generation.plan)
    if not generation.plan.exists():
        return Piece(kind="plan", path=path, state="absent")
    try:
        found = plan_digest(read_plan(generation.plan))
        approval = read_approval(generation.approval, generation.name) if generation.approval.exists() else None
    except LamarckError as error:
        return Piece(kind="plan", path=path, state="unreadable", sentence=str(error))
    if approval is None or approval.plan == found:
        return Piece(kind="plan", path=path, state="whole", stated=approval.plan if approval else None, found=found)
    sentence = "it is not the plan that was approved: `lamarck review` shows the one that lies here"
    return Piece(kind="plan", path=path, state="altered", sentence=sentence, stated=approval.plan, found=found)


def _outdated(record: Record, inputs: dict[str, Callable[[], str]]) -> str:
    """Which of its inputs a record names otherwise than they lie there; an input that is gone tells nothing."""
    for name, digest in inputs.items():
        try:
            now = digest()
        except (LamarckError, FileNotFoundError):
            continue
        made_from = record.inputs.get(name)
        if made_from != now:
            return f"made from another {name} ({_short(made_from)}) than the one that lies here ({_short(now)})"
    return ""


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def _gate(generation: Generation) -> Gate:
    if not generation.plan.exists():
        return Gate(plan=None, state="not planned", sentence="")
    try:
        plan = read_plan(generation.plan)
    except LamarckError as error:
        return Gate(plan=None, state="refused", sentence=str(error))
    digest, content = plan_digest(plan), plan.model_dump(mode="json")
    state = gate_state(generation, generation.plan, generation.approval)
    if not generation.approval.exists():
        return Gate(plan=digest, plan_content=content, state=state.state, sentence=state.sentence)
    try:
        # An approval that has expired since is still the answer under which a generation was made.
        approval = read_approval(generation.approval, generation.name)
    except LamarckError as error:
        return Gate(plan=digest, plan_content=content, state="refused", sentence=str(error))
    return Gate(
        plan=digest,
        plan_content=content,
        state=state.state,
        sentence="" if state.state == "open" else state.sentence,
        approved_plan=approval.plan,
        by=approval.approver.name,
        contact=approval.approver.contact,
        date=approval.date.isoformat(),
        expires=approval.expires.isoformat(),
        note=approval.note,
        signed=signature_of(generation.approval).exists(),
    )
