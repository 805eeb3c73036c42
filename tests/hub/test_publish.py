"""`lamarck publish`: what arrives, who may, and what an interrupted upload costs."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.gate.project import flip_last_byte
from tests.hub.conftest import REPO, Place
from tests.hub.fake import READER, STRANGER, FakeHub

CARD = "README.md"


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_a_lineage_arrives_whole_private_and_in_one_commit(place: Place) -> None:
    commit = place.publish()
    repository = place.hub.repositories[REPO]
    assert repository.private
    assert list(repository.commits)[1:] == [commit]
    manifest = json.loads(repository.files["lamarck.json"])
    assert manifest["generation"] == "g2"
    for name, digest in manifest["files"].items():
        assert hashlib.sha256(repository.files[name]).hexdigest() == digest
        assert repository.files[name] == (place.root / name).read_bytes()
    names = set(manifest["files"])
    for arm in ("g1", "g2", "control/g1", "control/g2"):
        for file in ("adapter/adapter_model.safetensors", "adapter/training.json", "curriculum.jsonl", "eval.json"):
            assert f"results/{arm}/{file}" in names
    assert {"approvals/g1.ok", "approvals/g2.ok", "results/g0/weights/model.safetensors"} <= names
    assert not any("search/" in name or "lineage.json" in name for name in names)


def test_the_model_card_says_what_the_records_say(place: Place) -> None:
    place.publish()
    card = place.hub.repositories[REPO].files[CARD].decode()
    data = front_matter(card)
    scores = json.loads((place.root / "results/g2/eval.json").read_text())
    results = data["model-index"][0]["results"][0]
    metrics = {metric["type"]: metric["value"] for metric in results["metrics"]}
    assert (data["license"], data["library_name"]) == ("apache-2.0", "peft")
    assert results["dataset"]["revision"] == scores["suite"]["digest"]
    assert metrics["score"] == pytest.approx(scores["score"], abs=1e-3)
    assert metrics.keys() == {"score", *scores["tiers"]}
    assert "g0 -->" in card
    assert "g1 -->" in card
    assert "| g2 | A Tester |" in card
    rows = json.loads(place.run("report", "--json", "--configfile", "config/default.yaml"))["scores"]
    interval = rows["g2"]["interval"]
    assert f"{scores['score']:.1f} [{interval['low']:.1f}, {interval['high']:.1f}]" in card


def test_an_earlier_generation_is_published_alone(place: Place) -> None:
    place.publish(generation="g1")
    files = place.hub.repositories[REPO].files
    assert "results/g1/adapter/training.json" in files
    assert not any("g2" in name for name in files)
    assert "g2" not in files[CARD].decode()


def test_one_that_was_not_scored_yet_says_so(place: Place) -> None:
    for name in ("eval.json", "samples.jsonl", "eval.record.json"):
        (place.root / "results/g2" / name).unlink()
    place.publish()
    card = place.hub.repositories[REPO].files[CARD].decode()
    assert "has not been scored yet" in card
    assert "model-index" not in front_matter(card)
    assert "results/g2/samples.jsonl" not in place.hub.repositories[REPO].files


def test_an_altered_artifact_is_not_published(place: Place) -> None:
    flip_last_byte(place.root / "results/g1/adapter/adapter_model.safetensors")()
    assert "nothing is published: results/g1/adapter is not what its record says" in place.publish(fails=True)
    assert len(place.hub.repositories[REPO].commits) == 1
    assert not place.hub.objects


def test_one_that_nobody_approved_is_not_published(place: Place) -> None:
    (place.root / "approvals/g2.ok").unlink()
    assert "g2 is not approved" in place.publish(fails=True)


def test_python_beside_an_adapter_is_not_published(place: Place) -> None:
    (place.root / "results/g1/adapter/model.py").write_text("print()")
    assert "nothing is published" in place.publish(fails=True)


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (None, "needs a token with write access in HF_TOKEN"),
        (READER, "may not write to owner/lineage"),
        (STRANGER, "may not write to owner/lineage"),
        ("hf_of_nobody", "is not there, or hidden: set HF_TOKEN"),
        ("hf_two words", "is not a token"),
        ("hf_\u00e4", "is not a token"),
    ],
)
def test_a_token_that_may_not_write(place: Place, token: str | None, sentence: str) -> None:
    assert sentence in place.publish(token=token, fails=True)
    assert REPO not in place.hub.repositories


def test_a_reader_may_not_write_to_what_it_sees(place: Place) -> None:
    place.publish(generation="g1")
    before = place.hub.repositories[REPO].head
    assert "may not write to owner/lineage" in place.publish(token=READER, fails=True)
    assert place.hub.repositories[REPO].head == before


def test_public_is_said_and_never_happens_by_itself(place: Place) -> None:
    place.publish("--public")
    assert not place.hub.repositories[REPO].private
    assert "is there already and is public: ask for --public" in place.publish(fails=True)
    place.hub.repositories[REPO].private = True
    assert "is there already and is private: leave out --public" in place.publish("--public", fails=True)


def test_a_publisher_that_is_killed_in_the_middle_goes_on_where_it_was(place: Place) -> None:
    place.hub.hold_after = 3
    publisher = place.start("publish", "g2", "--repo", REPO)
    assert place.hub.held.wait(120)
    publisher.kill()
    publisher.communicate()
    sent = dict(place.hub.puts)
    assert len(sent) == 3
    assert len(place.hub.repositories[REPO].commits) == 1
    place.hub.hold_after = None
    place.hub.go_on.set()
    commit = place.publish()
    assert place.hub.repositories[REPO].head == commit
    assert len(place.hub.puts) > len(sent)
    # What had arrived was not sent again.
    assert {oid: place.hub.puts[oid] for oid in sent} == sent


def test_a_hub_that_fails_for_a_moment_costs_nothing(place: Place) -> None:
    place.hub.statuses["put"] = [500]
    place.hub.statuses["batch"] = [503]
    commit = place.publish()
    assert place.hub.repositories[REPO].head == commit


def test_a_hub_that_fails_at_the_commit_leaves_what_was_sent(place: Place) -> None:
    place.hub.statuses["commit"] = [500]
    assert "the hub answered 500" in place.publish(fails=True)
    assert len(place.hub.repositories[REPO].commits) == 1
    sent = dict(place.hub.puts)
    place.publish()
    assert place.hub.puts == sent


def test_publishing_the_same_again_makes_no_commit(place: Place) -> None:
    assert place.publish() == place.publish()


def test_a_founder_of_the_hub_is_not_sent_there_again(place: Place) -> None:
    source = place.root / "results/g0/weights/source.json"
    founder = {"kind": "hub", "repo": "some/base", "revision": "a" * 40, "license": "mit"}
    source.write_text(json.dumps(json.loads(source.read_text()) | founder))
    place.publish()
    files = place.hub.repositories[REPO].files
    assert [name for name in files if name.startswith("results/g0/weights")] == ["results/g0/weights/source.json"]
    data = front_matter(files[CARD].decode())
    assert (data["base_model"], data["base_model_relation"], data["license"]) == ("some/base", "adapter", "mit")
    assert "a" * 40 in files[CARD].decode()


def test_without_a_network(place: Place) -> None:
    nowhere = Place(place.root, FakeHub(url="http://127.0.0.1:9"))
    assert "the connection to http://127.0.0.1:9 failed" in nowhere.publish(fails=True)


def test_what_is_not_there_is_said(place: Place, tmp_path: Path) -> None:
    assert "results/g3/" in place.publish(generation="g3", fails=True)
    assert "its control arm goes with it" in place.publish(generation="control/g1", fails=True)
    assert "owner/name" in place.run("publish", "g1", "--repo", "just-a-name", fails=True)
    shutil.rmtree(place.root / "results/g1/adapter")
    assert "results/g1/adapter is missing" in place.publish(fails=True)
