"""Every digest of a lineage against its records: before it is published, and after it was fetched."""

import contextlib
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import canonical_json, digest_file, digest_value, read_json, read_regular
from lamarck.gate.check import check_trained
from lamarck.hub.contents import Manifest, members
from lamarck.hub.shapes import check_json, check_shapes
from lamarck.lineage.artifacts import SCORES, TABLE
from lamarck.lineage.contents import ListedFiles, parse_content
from lamarck.lineage.digest import digest_of_parts, training_digest, weights_digest
from lamarck.lineage.freshness import hold
from lamarck.lineage.generation import STUDENT, TRAINING_RECORD, WEIGHTS_RECORD, Generation
from lamarck.lineage.records import read_record
from lamarck.report.lineage import lineage_up_to, scores_table


def check_lineage(root: Path, last: Generation) -> set[str]:
    """Hash everything below `root` that the lineage up to `last` is made of, and follow it from record to record.

    Returns the names of the generations without scores of their own: not scored yet, or scored before they were trained
    again. Errors: LamarckError that names the first artifact that is missing, or is not what a record or a human's
    approval says.
    """
    with contextlib.chdir(root):
        founder = _model_directory(Generation(0).weights)
        if STUDENT.exists():
            _model_directory(STUDENT)
        models = {Generation(0).name: digest_of_parts(founder, None)}
        unscored = set()
        for member in members(Path(), last):
            if member.number:
                _check_child(member, models[member.parent.name])
                models[member.name] = digest_of_parts(founder, read_record(member.change / TRAINING_RECORD).digest)
            if not _is_scored(member, models[member.name]):
                unscored.add(member.name)
    return unscored


def check_content(root: Path, manifest: Manifest) -> None:
    """Whether every record below `root` can be read as what it is: whoever wrote it also wrote its digest.

    Errors: LamarckError that names the first that cannot.
    """
    with contextlib.chdir(root):
        for name in sorted(manifest.files):
            check_json(Path(name))
        for member in members(Path(), manifest.last):
            check_shapes(member)
        # What every command here derives from them, derived once, and thrown away.
        try:
            scores_table(lineage := lineage_up_to(manifest.last, control=True))
            canonical_json(lineage)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise LamarckError(f"its records are not those of a lineage ({type(error).__name__}: {error})") from error


def _model_directory(directory: Path) -> str:
    """Digest of the founder or the student. Where only its record is there, the record's list of files must fit it."""
    record = read_record(directory / WEIGHTS_RECORD)
    if (directory / "config.json").exists():
        what, digest = directory, weights_digest(directory)
    else:
        what = directory / WEIGHTS_RECORD
        digest = digest_value(parse_content(ListedFiles, read_json(what), str(what)).files)
    if record.digest != digest:
        raise LamarckError(f"{what} is not what its record says")
    return record.digest


def _check_child(child: Generation, parent: str) -> None:
    """Everything of the child is whole and fits together, and it was made in the run that a human allowed."""
    if not child.plan.exists():
        raise LamarckError(f"{child.plan} is missing")
    if not child.curriculum.exists():
        raise LamarckError(f"{child.curriculum} is missing")
    made_from = {
        "parent": parent,
        "curriculum": digest_file(child.curriculum),
        "plan": training_digest(read_regular(child.plan)),
    }
    for kind in TABLE:
        if kind.published and kind.digest and kind is not SCORES and kind.belongs_to(child):
            hold(kind, child, made_from)
    check_trained(child)


def _is_scored(member: Generation, model: str) -> bool:
    """Errors: LamarckError where scores of this very model are not what their record says."""
    if not member.scores_record.exists() or read_record(member.scores_record).inputs.get("model") != model:
        return False
    hold(SCORES, member, {})
    return True
