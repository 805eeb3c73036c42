"""Every digest of a lineage against its records: before it is published, and after it was fetched."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import canonical_json, digest_file, digest_value, read_json, read_regular
from lamarck.gate.check import check_trained
from lamarck.hub.contents import Manifest, check_owned, members
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
                _check_child(member, models)
                models[member.name] = digest_of_parts(founder, read_record(member.change / TRAINING_RECORD).digest)
            if not _is_scored(member, models[member.name]):
                unscored.add(member.name)
    return unscored


def check_content(root: Path, manifest: Manifest) -> list[Generation]:
    """Whether every record below `root` can be read as what it is, and nothing is there that belongs to no generation:
    whoever wrote it also wrote its digest.

    Returns the generations. Errors: LamarckError that names the first file that cannot be read, or is none of theirs.
    """
    with contextlib.chdir(root):
        for name in sorted(manifest.files):
            check_json(Path(name))
        found = members(Path(), manifest.last)
        check_owned(manifest, found)
        for member in found:
            check_shapes(member)
        # What every command here derives from them, derived once, and thrown away.
        try:
            for last in _ends(found):
                scores_table(lineage := lineage_up_to(last, control=True))
                canonical_json(lineage)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise LamarckError(f"its records are not those of a lineage ({type(error).__name__}: {error})") from error
        return found


def _ends(found: list[Generation]) -> list[Generation]:
    """The last generation of every lineage among them; a child of two parents is no member of one line."""
    lines = {each.lineage: each for each in found if not each.is_control and not each.is_crossed}
    return list(lines.values())


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


def _check_child(child: Generation, models: Mapping[str, str]) -> None:
    """Everything of the child is whole and fits together, and it was made in the run that a human allowed.

    `models`: name of a generation -> digest of its model, its parents' among them."""
    for needed in (child.plan, *(() if child.is_crossed else (child.curriculum,))):
        if not needed.exists():
            raise LamarckError(f"{needed} is missing")
    missing = [parent for parent in child.parents if parent.name not in models]
    if missing:
        raise LamarckError(f"{missing[0].change} is missing: {child.name} is made of it")
    first, *others = (models[parent.name] for parent in child.parents)
    made_from = {"parent": first, "plan": training_digest(read_regular(child.plan))}
    if child.is_crossed:
        made_from["other parent"] = others[0]
    else:
        made_from["curriculum"] = digest_file(child.curriculum)
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
