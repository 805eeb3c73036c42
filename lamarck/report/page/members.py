"""Who is in the lineage: every generation under results/, its artifacts as they lie there, and its gate. Light.

Whether an artifact is what its record says is decided by its bytes, and whether it still fits its parents by the
digests that its record names: both need results/ alone.
"""

from typing import Any, Literal

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.gate.approval import read_approval
from lamarck.gate.check import gate_state
from lamarck.gate.plan import read_childs_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.signature import signature_of
from lamarck.lineage.artifacts import CROSS_PLAN, PLAN, table
from lamarck.lineage.configured import config_of
from lamarck.lineage.freshness import Artifact, State, examine
from lamarck.lineage.generation import RESULTS, Generation
from lamarck.lineage.kind import Kind
from lamarck.lineage.listing import generations_in
from lamarck.lineage.records import Record
from lamarck.report.page import Shown

GONE = "is not there"
BROKEN: tuple[State, ...] = ("missing", "altered", "unreadable", "outdated")


class ShownPiece(Shown):
    """One artifact as it lies there. absent: never made. missing: its record is there and it is not, or the reverse.
    altered: its bytes are not what its record states. outdated: its record names another parent than the one here."""

    kind: str
    path: str
    state: State
    sentence: str = ""
    stated: str | None = None  # digest in the record
    found: str | None = None  # digest of the bytes that lie there
    record: Record | None = None


class ShownGate(Shown):
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


class ShownMember(Shown):
    name: str
    number: int
    lane: str  # id of its lineage: "" is the main one
    parents: list[str]
    pieces: list[ShownPiece]
    gate: ShownGate | None

    @property
    def generation(self) -> Generation:
        return Generation(self.number, self.lane)

    @property
    def is_control(self) -> bool:
        return self.generation.is_control

    @property
    def is_there(self) -> bool:
        return any(piece.state != "absent" for piece in self.pieces)


def find_members(config: Config) -> list[ShownMember]:
    """Every generation found under results/, and those of the main lineage that are still to come."""
    main = [Generation(number) for number in range(config.generations + 1)]
    generations = {*main, *generations_in(RESULTS)}
    return [_member(config, each) for each in sorted(generations, key=lambda each: (each.lineage, each.number))]


def _member(config: Config, generation: Generation) -> ShownMember:
    founder = generation.number == 0
    config = config_of(config, generation.lineage)
    pieces = [_piece(kind, generation) for kind in table(config) if kind.is_made_for(config, generation)]
    return ShownMember(
        name=generation.name,
        number=generation.number,
        lane=generation.lineage,
        parents=[] if founder else [parent.name for parent in generation.parents],
        pieces=_gone_since(pieces),
        gate=None if founder or generation.is_control else _gate(generation),
    )


def _gone_since(pieces: list[ShownPiece]) -> list[ShownPiece]:
    """What was made from a thing that is not there shows that it was there: it is missing, not still to come."""
    last = max((place for place, piece in enumerate(pieces) if piece.state != "absent"), default=0)
    sentence = f"{GONE}: what was made from it is there"
    return [
        piece.model_copy(update={"state": "missing", "sentence": f"{piece.path} {sentence}"})
        if piece.state == "absent" and place < last
        else piece
        for place, piece in enumerate(pieces)
    ]


def _piece(kind: Kind, generation: Generation) -> ShownPiece:
    """As it lies there: whether it is what its record says, and made from the artifacts beside it."""
    if kind in (PLAN, CROSS_PLAN):
        return _plan(generation)
    artifact = examine(kind, generation, None)
    files = [*kind.paths(generation).values(), *([kind.record_file(generation)] if kind.record else [])]
    gone = ", ".join(dict.fromkeys(str(path) for path in files if not path.exists()))
    sentences: dict[State, str] = {
        "missing": f"{gone} {GONE}: restore it with `dvc pull`, or let `snakemake` make it again",
        "altered": "its bytes are not what its record states: restore it with `dvc checkout`",
        "unreadable": artifact.reason,
        "outdated": _outdated(artifact),
    }
    return ShownPiece(
        kind=kind.name,
        path=str(kind.path(generation)),
        state=artifact.state,
        sentence=sentences.get(artifact.state, ""),
        stated=artifact.stated,
        found=artifact.found,
        record=artifact.record,
    )


def _outdated(artifact: Artifact) -> str:
    """Which of its inputs a record names otherwise than they lie there."""
    if not (artifact.record and artifact.changed):
        return artifact.reason
    name, now = next(iter(artifact.changed.items()))
    made_from = artifact.record.inputs.get(name)
    return f"made from another {name} ({_short(made_from)}) than the one that lies here ({_short(now)})"


def _plan(generation: Generation) -> ShownPiece:
    """A plan has no record: what states its digest is the approval."""
    path = str(generation.plan)
    if not generation.plan.exists():
        return ShownPiece(kind="plan", path=path, state="absent")
    try:
        found = plan_digest(read_childs_plan(generation.plan))
        approval = read_approval(generation.approval, generation.name) if generation.approval.exists() else None
    except LamarckError as error:
        return ShownPiece(kind="plan", path=path, state="unreadable", sentence=str(error))
    if approval is None or approval.plan == found:
        return ShownPiece(
            kind="plan", path=path, state="whole", stated=approval.plan if approval else None, found=found
        )
    sentence = "it is not the plan that was approved: `lamarck review` shows the one that lies here"
    return ShownPiece(kind="plan", path=path, state="altered", sentence=sentence, stated=approval.plan, found=found)


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def _gate(generation: Generation) -> ShownGate:
    if not generation.plan.exists():
        return ShownGate(plan=None, state="not planned", sentence="")
    try:
        plan = read_childs_plan(generation.plan)
    except LamarckError as error:
        return ShownGate(plan=None, state="refused", sentence=str(error))
    digest, content = plan_digest(plan), plan.model_dump(mode="json")
    state = gate_state(generation, generation.plan, generation.approval)
    if not generation.approval.exists():
        return ShownGate(plan=digest, plan_content=content, state=state.state, sentence=state.sentence)
    try:
        # An approval that has expired since is still the answer under which a generation was made.
        approval = read_approval(generation.approval, generation.name)
    except LamarckError as error:
        return ShownGate(plan=digest, plan_content=content, state="refused", sentence=str(error))
    return ShownGate(
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
