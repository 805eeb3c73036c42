"""`lamarck fetch`: a lineage comes back whole, or nothing does."""

import json
from pathlib import Path

import pytest

from lamarck.files import file_digests
from tests.hub.conftest import REPO, Place
from tests.hub.fake import READER, STRANGER, FakeHub


def fetch(place: Place, commit: str, *options: str, fails: bool = False, token: str | None = READER) -> str:
    return place.run("fetch", REPO, "--revision", commit, *options, fails=fails, token=token)


def tampered(hub: FakeHub, **changes: bytes) -> str:
    """A commit of its own, in which somebody has changed files. Its hash."""
    repository = hub.repositories[REPO]
    return repository.commit(repository.files | changes)


def results(place: Place) -> dict[str, str]:
    return {
        f"{part}/{name}": digest
        for part in ("results", "approvals")
        for name, digest in (file_digests(place.root / part) if (place.root / part).exists() else {}).items()
    }


def test_a_lineage_comes_back_as_it_was(place: Place, elsewhere: Place) -> None:
    commit = place.publish()
    fetched = fetch(elsewhere, commit)
    assert "match their records" in fetched
    there, here = results(place), results(elsewhere)
    manifest = json.loads(place.hub.repositories[REPO].files["lamarck.json"])["files"]
    assert {name: here[name] for name in manifest} == {name: there[name] for name in manifest}
    published = json.loads((elsewhere.root / "results/g1/published.json").read_text())
    assert (published["repo"], published["commit"]) == (REPO, commit)
    assert json.loads((elsewhere.root / "results/lineage.json").read_text())["main"][2]["generation"] == "g2"
    assert not list((elsewhere.root / ".lamarck").rglob("*.safetensors"))
    # Again, over itself: nothing is new, nothing is refused.
    assert "0 artifacts are new" in fetch(elsewhere, commit)


def test_into_another_directory(place: Place, tmp_path: Path) -> None:
    fetch(place, place.publish(), "--into", str(tmp_path / "new"))
    assert (tmp_path / "new/results/g2/adapter/training.json").exists()
    assert (tmp_path / "new/approvals/g2.ok").exists()


@pytest.mark.parametrize(
    "name",
    [
        "results/g0/weights/model.safetensors",
        "results/g1/adapter/adapter_model.safetensors",
        "results/control/g1/curriculum.jsonl",
        "results/g2/eval.json",
        "approvals/g1.ok",
    ],
)
def test_a_file_that_was_changed_on_the_hub(place: Place, elsewhere: Place, name: str) -> None:
    place.publish()
    content = place.hub.repositories[REPO].files[name]
    commit = tampered(place.hub, **{name: content[:-2] + b"0" + content[-1:]})
    sentence = fetch(elsewhere, commit, fails=True)
    assert f"nothing was changed: {name} is not what lamarck.json says" in sentence
    assert results(elsewhere) == {}
    assert not list((elsewhere.root / ".lamarck/fetch").iterdir())


def test_a_change_that_hides_in_the_manifest_is_found_by_the_records(place: Place, elsewhere: Place) -> None:
    import hashlib

    place.publish()
    manifest = json.loads(place.hub.repositories[REPO].files["lamarck.json"])
    name = "results/g1/adapter/adapter_model.safetensors"
    manifest["files"][name] = hashlib.sha256(b"other").hexdigest()
    commit = tampered(place.hub, **{name: b"other", "lamarck.json": json.dumps(manifest).encode()})
    sentence = fetch(elsewhere, commit, fails=True)
    assert "results/g1/adapter is not what its record says" in sentence
    assert results(elsewhere) == {}


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "results/g1/adapter/../../../outside.json",
        "/etc/outside.json",
        "lamarck/cli.py",
        "results/g1/adapter/model.py",
        "results/g1/adapter/adapter_model.bin",
        "config/default.yaml",
        # An answer to what has not been trained would open a gate.
        "approvals/g3.ok",
        "results/g3/plan.json",
    ],
)
def test_a_manifest_that_names_what_no_lineage_has(place: Place, elsewhere: Place, name: str) -> None:
    place.publish()
    manifest = json.loads(place.hub.repositories[REPO].files["lamarck.json"])
    manifest["files"][name] = "0" * 64
    commit = tampered(place.hub, **{"lamarck.json": json.dumps(manifest).encode(), name: b"x"})
    assert "is refused: its lamarck.json names" in fetch(elsewhere, commit, fails=True)
    assert results(elsewhere) == {}


def test_a_repository_that_holds_no_lineage(place: Place, elsewhere: Place) -> None:
    place.publish()
    commit = tampered(place.hub, **{"lamarck.json": b"{}"})
    assert "is not one of a published lineage" in fetch(elsewhere, commit, fails=True)
    repository = place.hub.repositories[REPO]
    commit = repository.commit({"README.md": b"hello"})
    assert "holds no published lineage" in fetch(elsewhere, commit, fails=True)


def test_another_lineage_in_its_place_is_kept(place: Place, elsewhere: Place) -> None:
    commit = place.publish()
    other = elsewhere.root / "results/g2/curriculum.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text("mine\n")
    sentence = fetch(elsewhere, commit, fails=True)
    assert "results/g2/curriculum.jsonl is there already and is another one" in sentence
    assert results(elsewhere).keys() == {"results/g2/curriculum.jsonl"}


def test_a_founder_of_the_hub_stays_where_it_is(place: Place, elsewhere: Place) -> None:
    source = place.root / "results/g0/weights/source.json"
    founder = {"kind": "hub", "repo": "some/base", "revision": "a" * 40}
    source.write_text(json.dumps(json.loads(source.read_text()) | founder))
    commit = place.publish()
    assert "its founder is not published with it" in fetch(elsewhere, commit)
    assert not (elsewhere.root / "results/g0/weights").exists()
    assert (elsewhere.root / "results/g2/adapter").exists()


@pytest.mark.parametrize(
    ("token", "sentence"),
    [(None, "is not there, or hidden"), (STRANGER, "is not there, or hidden"), ("hf_of_nobody", "is not there, or hidden")],
)
def test_who_may_not_see_it(place: Place, elsewhere: Place, token: str | None, sentence: str) -> None:
    commit = place.publish()
    assert sentence in fetch(elsewhere, commit, fails=True, token=token)


def test_a_revision_that_is_none(place: Place, elsewhere: Place) -> None:
    place.publish()
    assert "no full commit hash" in fetch(elsewhere, "main", fails=True)
    assert "has no such revision" in fetch(elsewhere, "0" * 40, fails=True)


def test_a_download_that_breaks_is_taken_up_again(place: Place, elsewhere: Place) -> None:
    commit = place.publish()
    place.hub.statuses["get"] = [404]
    assert fetch(elsewhere, commit, fails=True)
    assert results(elsewhere) == {}
    place.hub.log.clear()
    fetch(elsewhere, commit)
    # The manifest had come the first time.
    assert not any("resolve" in line and "lamarck.json" in line and line.startswith("get") for line in place.hub.log)


def test_without_a_network(place: Place, elsewhere: Place) -> None:
    place.hub.url, url = "http://127.0.0.1:9", place.hub.url
    try:
        assert "http://127.0.0.1:9 cannot be reached" in fetch(elsewhere, "0" * 40, fails=True)
    finally:
        place.hub.url = url
