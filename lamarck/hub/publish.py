"""`lamarck publish`: a lineage, checked against its records, becomes one commit of a repository on the hub."""

import json
from pathlib import Path

from lamarck.config import Config, load_config
from lamarck.errors import LamarckError
from lamarck.files import canonical_json
from lamarck.hub.card import model_card
from lamarck.hub.check import check_lineage
from lamarck.hub.contents import MANIFEST, Manifest, make_manifest
from lamarck.lineage.contents import read_source
from lamarck.lineage.generation import STUDENT, WEIGHTS_RECORD, Generation
from lamarck.lineage.records import Published
from lamarck.models.hub import check_may_write, connect, refusals_as_sentences
from lamarck.suites.suite import student_kind

HERE = Path()


def show(generation: Generation, repo: str, public: bool, config_path: Path, as_json: bool) -> None:
    published = publish(load_config(config_path), generation, repo, public)
    if as_json:
        print(json.dumps(published.model_dump(), indent=2, sort_keys=True))
        return
    seen = "public" if public else "private"
    print(f"{generation.name} is published, {len(published.files)} files of its own, in {repo} ({seen})")
    print(f"commit {published.commit}")
    print(f"bring it back with `lamarck fetch {repo} --revision {published.commit}`")


def publish(config: Config, generation: Generation, repo: str, public: bool) -> Published:
    """Upload `generation` and everything that leads to it. What an interrupted upload has brought is not sent again.

    Errors: LamarckError, and no commit made, where an artifact is not what its record says, or the hub refuses.
    """
    if generation.is_control:
        raise LamarckError(f"publish {generation.planned_by.name}: its control arm goes with it")
    check_may_write(repo, public)
    manifest = checked_manifest(config, generation)
    commit = _upload(repo, manifest, model_card(config, manifest, repo))
    return Published(repo=repo, commit=commit, files=manifest.of(generation))


def checked_manifest(config: Config, generation: Generation) -> Manifest:
    """What is to be published. Errors: LamarckError where it is incomplete or altered."""
    founder = Generation(0).weights
    try:
        unscored = check_lineage(HERE, generation)
        kinds = {founder: read_source(founder / WEIGHTS_RECORD).kind, STUDENT: student_kind(Path(config.suite))}
        withheld = {directory for directory, kind in kinds.items() if kind not in ("tiny", "shipped")}
        return make_manifest(HERE, generation, unscored, withheld)
    except LamarckError as error:
        raise LamarckError(
            f"nothing is published: {error}; `lamarck status` says more, `dvc checkout` restores what was there"
        ) from error


def _upload(repo: str, manifest: Manifest, card: str) -> str:
    """One commit with everything: a reader never sees a half. Returns its hash."""
    from huggingface_hub import CommitOperationAdd

    texts = {MANIFEST: canonical_json(manifest.model_dump()), "README.md": card}
    operations = [CommitOperationAdd(name, name) for name in manifest.files]
    operations += [CommitOperationAdd(name, text.encode()) for name, text in texts.items()]
    with refusals_as_sentences(repo, "write to"):
        done = connect(repo).create_commit(
            repo, operations, commit_message=f"{manifest.generation} and what it comes from"
        )
    return str(done.oid)
