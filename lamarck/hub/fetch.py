"""`lamarck fetch`: a published lineage comes back, whole and as its records say, or not at all."""

import contextlib
import json
import os
import re
import shutil
from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.files import digest_file, file_digests, write_json, write_text
from lamarck.hub.check import check_content, check_lineage
from lamarck.hub.contents import MANIFEST, Manifest, read_manifest, unit_of
from lamarck.lineage.generation import WEIGHTS_RECORD, Generation
from lamarck.lineage.records import Published, read_record
from lamarck.models.hub import connect, refusals_as_sentences
from lamarck.report.lineage import LINEAGE, TABLE, build_lineage, scores_table

COMMIT = re.compile(r"[0-9a-f]{40}")


def show(repo: str, revision: str, into: Path, config_path: Path, as_json: bool) -> None:
    manifest, placed = fetch(repo, revision, into)
    founder = (into / Generation(0).weights).exists()
    if founder and (into / config_path).exists():
        _summarise(into, config_path)
    if as_json:
        content = {"repo": repo, "commit": revision, "generation": manifest.generation, "placed": placed}
        print(json.dumps(content | {"founder": founder}, indent=2, sort_keys=True))
        return
    print(f"{repo} at {revision[:8]}: {len(manifest.files)} files up to {manifest.generation} match their records")
    print(f"{len(placed)} artifacts are new in {into}; the others were there already")
    if not founder:
        print("its founder is not published with it: name it in the configuration, and `snakemake` brings it")


def fetch(repo: str, revision: str, into: Path) -> tuple[Manifest, list[str]]:
    """Bring the lineage that a commit of `repo` holds into the project `into`, beside what is there.

    Returns what was published, and the paths that are new. Errors: LamarckError, and nothing changed in `into`, where a
    file is not what the records say, or another one of that name is there.
    """
    if not COMMIT.fullmatch(revision):
        raise LamarckError(f"{revision!r} is not a full commit hash: a branch can move, so name the commit itself")
    # Kept when the connection breaks: the next try goes on from there.
    staging = into / ".lamarck" / "fetch" / f"{repo.replace('/', '--')}-{revision}"
    _download(repo, revision, [MANIFEST], staging)
    if not (staging / MANIFEST).exists():
        raise LamarckError(f"{repo} at {revision[:8]} holds no published lineage: it has no {MANIFEST}")
    try:
        manifest = read_manifest(staging / MANIFEST)
    except LamarckError as error:
        shutil.rmtree(staging)
        raise LamarckError(f"{repo} at {revision[:8]} is refused: {error}") from error
    _download(repo, revision, list(manifest.files), staging)
    try:
        found = _check(staging, manifest)
        placed = _place(staging, into, manifest)
    except LamarckError as error:
        raise LamarckError(f"{repo} at {revision[:8]} is refused, and nothing was changed: {error}") from error
    finally:
        shutil.rmtree(staging)
    for generation in found:
        if not generation.lineage:  # the others are published by hand alone
            _record(generation, manifest, Published(repo=repo, commit=revision, files={}), into)
    return manifest, placed


def _download(repo: str, revision: str, names: list[str], staging: Path) -> None:
    with refusals_as_sentences(repo, "read"):
        connect(repo).snapshot_download(repo, revision=revision, local_dir=staging, allow_patterns=names)


def _check(staging: Path, manifest: Manifest) -> list[Generation]:
    """The generations that came, each of them whole. Errors: LamarckError that names what is not as it should be."""
    for name, digest in manifest.files.items():
        if not (staging / name).exists():
            raise LamarckError(f"{name} is missing")
        if digest_file(staging / name) != digest:
            raise LamarckError(f"{name} is not what {MANIFEST} says")
    check_lineage(staging, manifest.last)
    return check_content(staging, manifest)


def _place(staging: Path, into: Path, manifest: Manifest) -> list[str]:
    """Move what is new into `into`: all of it, or none where something else is in its place."""
    units = list(dict.fromkeys(Path(unit_of(name)) for name in manifest.files))
    new = [unit for unit in units if _is_new(staging / unit, into / unit)]
    done: list[Path] = []
    try:
        for unit in new:
            (into / unit).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / unit, into / unit)
            done.append(into / unit)
    except OSError as error:
        for path in done:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise LamarckError(f"cannot write {into / unit}: {error.strerror}") from error
    return [str(unit) for unit in new]


def _is_new(fetched: Path, target: Path) -> bool:
    """Errors: LamarckError where another one is there."""
    if fetched.is_dir() and {path.name for path in fetched.iterdir()} == {WEIGHTS_RECORD}:
        # A model that is not published with the lineage: only its record is, to compare with.
        if (
            target.exists()
            and read_record(target / WEIGHTS_RECORD).digest != read_record(fetched / WEIGHTS_RECORD).digest
        ):
            raise LamarckError(f"{target} is another one than the lineage was raised from")
        return False
    if not target.exists():
        return True
    same = (
        file_digests(target) == file_digests(fetched)
        if target.is_dir()
        else digest_file(target) == digest_file(fetched)
    )
    if not same:
        raise LamarckError(
            f"{target} is there already and is another one: fetch --into another directory, or move it away"
        )
    return False


def _record(generation: Generation, manifest: Manifest, place: Published, into: Path) -> None:
    """Say where it lies, as `publish` does: a project that publishes to the same place has nothing to send there."""
    if not generation.number:
        return
    published = place.model_copy(update={"files": manifest.of(generation)})
    write_json(into / generation.published, published.model_dump())
    if str(generation.scores) in published.files:
        write_json(into / generation.published_scores, published.model_dump())


def _summarise(into: Path, config_path: Path) -> None:
    """results/lineage.json and scores.csv are derived, so they are not published: they are derived here."""
    with contextlib.chdir(into):
        lineage = build_lineage(load_config(config_path))
        write_json(LINEAGE, lineage)
        write_text(TABLE, scores_table(lineage))
