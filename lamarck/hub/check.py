"""Every digest of a lineage against its records: before it is published, and after it was fetched."""

from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import digest_file, digest_value, read_json
from lamarck.gate.check import check_answer
from lamarck.gate.plan import read_plan
from lamarck.hub.contents import members
from lamarck.lineage import (
    ADAPTER_RECORD,
    STUDENT,
    WEIGHTS_RECORD,
    Generation,
    Record,
    adapter_digest,
    digest_of_parts,
    read_record,
    weights_digest,
)
from lamarck.lineage.freshness import scores_digest


def check_lineage(root: Path, last: Generation) -> set[str]:
    """Hash everything below `root` that the lineage up to `last` is made of, and follow it from record to record.

    Returns the names of the generations without scores of their own: not scored yet, or scored before they were trained
    again. Errors: LamarckError that names the first artifact that is missing, or is not what a record or a human's
    approval says.
    """
    founder = _model_directory(root, Generation(0).weights)
    if (root / STUDENT).exists():
        _model_directory(root, STUDENT)
    models = {Generation(0).name: digest_of_parts(founder, None)}
    unscored = set()
    for member in members(root, last):
        if member.number:
            adapter = _check_child(root, member, models[member.parent.name])
            models[member.name] = digest_of_parts(founder, adapter)
        if not _is_scored(root, member, models[member.name]):
            unscored.add(member.name)
    return unscored


def _model_directory(root: Path, directory: Path) -> str:
    """Digest of the founder or the student. Where only its record is there, the record's list of files must fit it."""
    record = read_record(root / directory / WEIGHTS_RECORD)
    if (root / directory / "config.json").exists():
        _must_equal(directory, weights_digest(root / directory), record)
    else:
        files = read_json(root / directory / WEIGHTS_RECORD)["files"]
        _must_equal(directory / WEIGHTS_RECORD, digest_value(files), record)
    return record.digest


def _check_child(root: Path, child: Generation, parent: str) -> str:
    """The curriculum is its parent's, the adapter was trained on it, in the run that a human allowed.

    Returns the adapter's digest.
    """
    curriculum = digest_file(_there(root, child.curriculum))
    written = read_record(root / child.card)
    _must_equal(child.curriculum, curriculum, written)
    _must_come_from(child.curriculum, written, {"parent": parent})
    trained = read_record(_there(root, child.adapter / ADAPTER_RECORD))
    adapter = adapter_digest(root / child.adapter)
    _must_equal(child.adapter, adapter, trained)
    plan = digest_file(_there(root, child.plan))
    _must_come_from(child.adapter, trained, {"parent": parent, "curriculum": curriculum, "plan": plan})
    check_answer(child.planned_by.name, read_plan(root / child.plan), root / child.approval)
    return adapter


def _is_scored(root: Path, member: Generation, model: str) -> bool:
    """Errors: LamarckError where scores of this very model are not what their record says."""
    if not (root / member.scores_record).exists():
        return False
    record = read_record(root / member.scores_record)
    if record.inputs.get("model") != model:
        return False
    scores, samples = (_there(root, path) for path in (member.scores, member.samples))
    _must_equal(member.scores, scores_digest(scores, samples), record)
    return True


def _there(root: Path, path: Path) -> Path:
    if not (root / path).exists():
        raise LamarckError(f"{path} is missing")
    return root / path


def _must_equal(what: Path, digest: str, record: Record) -> None:
    if record.digest != digest:
        raise LamarckError(f"{what} is not what its record says")


def _must_come_from(what: Path, record: Record, parts: dict[str, str]) -> None:
    for part, digest in parts.items():
        if record.inputs.get(part) != digest:
            raise LamarckError(f"{what} was made from another {part} than the one that is there")
