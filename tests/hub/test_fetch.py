"""`lamarck fetch`: a lineage comes back whole, or nothing does."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from lamarck.files import file_digests
from tests.hub.conftest import REPO, Place
from tests.hub.fake import READER, STRANGER, FakeHub

Published = tuple[Place, str]


def fetch(place: Place, commit: str, *options: str, fails: bool = False, token: str | None = READER) -> str:
    return place.run("fetch", REPO, "--revision", commit, *options, fails=fails, token=token)


def manifest_of(hub: FakeHub, commit: str) -> dict[str, str]:
    files: dict[str, str] = json.loads(hub.repositories[REPO].commits[commit]["lamarck.json"])["files"]
    return files


def tampered(published: Published, in_manifest: dict[str, bytes], **changes: bytes) -> str:
    """A commit of its own, in which somebody has changed files, and what the manifest says of some. Its hash."""
    place, commit = published
    repository = place.hub.repositories[REPO]
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in in_manifest.items()}
    manifest = {"format": 1, "generation": "g2", "files": manifest_of(place.hub, commit) | digests}
    listed = {"lamarck.json": json.dumps(manifest).encode()} | in_manifest
    return repository.commit(repository.commits[commit] | listed | changes)


def results(root: Path) -> dict[str, str]:
    parts = [part for part in ("results", "approvals") if (root / part).exists()]
    return {f"{part}/{name}": digest for part in parts for name, digest in file_digests(root / part).items()}


def test_a_lineage_comes_back_as_it_was(published: Published, elsewhere: Place) -> None:
    place, commit = published
    assert "match their records" in fetch(elsewhere, commit)
    here = results(elsewhere.root)
    manifest = manifest_of(place.hub, commit)
    assert {name: here[name] for name in manifest} == {name: results(place.root)[name] for name in manifest}
    recorded = json.loads((elsewhere.root / "results/g1/published.json").read_text())
    assert (recorded["repo"], recorded["commit"]) == (REPO, commit)
    assert json.loads((elsewhere.root / "results/lineage.json").read_text())["main"][2]["generation"] == "g2"
    assert not list((elsewhere.root / ".lamarck/fetch").iterdir())
    # Again, over itself: nothing is new, nothing is refused.
    assert "0 artifacts are new" in fetch(elsewhere, commit)


@pytest.mark.parametrize("name", ["results/g1/adapter/adapter_model.safetensors", "approvals/g1.ok"])
def test_a_file_that_was_changed_on_the_hub(published: Published, elsewhere: Place, name: str) -> None:
    content = published[0].hub.repositories[REPO].commits[published[1]][name]
    commit = tampered(published, {}, **{name: content[:-2] + b"0" + content[-1:]})
    sentence = fetch(elsewhere, commit, fails=True)
    assert f"nothing was changed: {name} is not what lamarck.json says" in sentence
    assert results(elsewhere.root) == {}
    assert not list((elsewhere.root / ".lamarck/fetch").iterdir())


def test_a_change_that_hides_in_the_manifest_is_found_by_the_records(published: Published, elsewhere: Place) -> None:
    commit = tampered(published, {"results/g1/adapter/adapter_model.safetensors": b"other"})
    assert "results/g1/adapter is not what its record says" in fetch(elsewhere, commit, fails=True)
    assert results(elsewhere.root) == {}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("results/g1/curriculum.json", "items", "1e999"),
        ("results/g1/adapter/training.json", "log", "[" * 900 + "]" * 900),
        ("results/g1/curriculum.json", "items", '"many"'),
        ("results/g1/adapter/training.json", "used_device_seconds", "[]"),
        ("results/g0/weights/source.json", "kind", "[]"),
    ],
)
def test_nothing_is_placed_before_all_is_checked(
    published: Published, elsewhere: Place, name: str, key: str, value: str
) -> None:
    """Records say what their writer likes: that they cannot be read comes before anything lies in its place."""
    text = published[0].hub.repositories[REPO].commits[published[1]][name].decode()
    changed = re.sub(rf'"{key}": (\[.*?\n  \]|[^,\n]*)', f'"{key}": {value}', text, count=1, flags=re.DOTALL)
    assert changed != text
    commit = tampered(published, {name: changed.encode()})
    assert "is refused, and nothing was changed" in fetch(elsewhere, commit, fails=True)
    assert results(elsewhere.root) == {}


def test_an_answer_to_what_was_not_trained_would_open_a_gate(published: Published, elsewhere: Place) -> None:
    commit = tampered(published, {"approvals/g3.ok": b"decision: approve"})
    assert "names 'approvals/g3.ok', which is later than g2" in fetch(elsewhere, commit, fails=True)
    assert results(elsewhere.root) == {}


def test_a_repository_that_holds_no_lineage(published: Published, elsewhere: Place) -> None:
    commit = published[0].hub.repositories[REPO].commit({"README.md": b"hello"})
    assert f"{REPO} at {commit[:8]} holds no published lineage" in fetch(elsewhere, commit, fails=True)


def test_another_lineage_in_its_place_is_kept(published: Published, elsewhere: Place) -> None:
    other = elsewhere.root / "results/g2/curriculum.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text("mine\n")
    sentence = fetch(elsewhere, published[1], fails=True)
    assert "results/g2/curriculum.jsonl is there already and is another one" in sentence
    assert results(elsewhere.root).keys() == {"results/g2/curriculum.jsonl"}


def test_a_founder_of_the_hub_stays_where_it_is(published: Published, elsewhere: Place) -> None:
    place, commit = published
    files = place.hub.repositories[REPO].commits[commit]
    weights = "results/g0/weights/"
    source = json.loads(files[f"{weights}source.json"]) | {"kind": "hub", "repo": "some/base", "revision": "a" * 40}
    manifest = {name: digest for name, digest in manifest_of(place.hub, commit).items() if not name.startswith(weights)}
    text = json.dumps(source).encode()
    manifest[f"{weights}source.json"] = hashlib.sha256(text).hexdigest()
    listed = json.dumps({"format": 1, "generation": "g2", "files": manifest}).encode()
    commit = place.hub.repositories[REPO].commit(files | {f"{weights}source.json": text, "lamarck.json": listed})
    assert "its founder is not published with it" in fetch(elsewhere, commit, "--into", "project")
    assert not (elsewhere.root / "project" / weights).exists()
    assert (elsewhere.root / "project/results/g2/adapter").exists()
    assert (elsewhere.root / "project/approvals/g2.ok").exists()


@pytest.mark.parametrize("token", [None, STRANGER, "hf_of_nobody"])
def test_who_may_not_see_it(published: Published, elsewhere: Place, token: str | None) -> None:
    assert "is not there, or hidden" in fetch(elsewhere, published[1], fails=True, token=token)


def test_a_revision_that_does_not_exist(published: Published, elsewhere: Place) -> None:
    assert "not a full commit hash" in fetch(elsewhere, "main", fails=True)
    assert "has no such revision" in fetch(elsewhere, "0" * 40, fails=True)


def test_a_download_that_breaks_is_taken_up_again(published: Published, elsewhere: Place) -> None:
    place, commit = published
    place.hub.statuses["get"] = [404]
    assert fetch(elsewhere, commit, fails=True)
    assert results(elsewhere.root) == {}
    place.hub.log.clear()
    fetch(elsewhere, commit)
    # What had come the first time is not asked for again.
    assert not any(line.startswith("resolve") and line.endswith("lamarck.json") for line in place.hub.log)
