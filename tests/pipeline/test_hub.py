"""A finished lineage leaves for the hub and comes back, merged or not; and one that is published as it grows."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamarck.files import file_digests
from tests.hub.fake import READER, WRITER, FakeHub, Repository, fake_hub
from tests.pipeline.conftest import Project
from tests.runpod.fake import FakeRunPod

REPO = "owner/lineage"
# The profile but for size: a container here has the environment already.
POD = (
    *("--profile", "runpod", "--precommand", "true", "--runpod-setup", "true"),
    *("--runpod-gpu-memory", "24", "--runpod-poll-seconds", "0.5", "--runpod-disk", "1"),
    *("--runpod-preflight", "true"),
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub() as hub:
        for name, value in (hub.environment(WRITER) | {"HF_HOME": str(tmp_path / "hf-home")}).items():
            monkeypatch.setenv(name, value)
        yield hub


def online(project: Project, *command: str, check: bool = True) -> str:
    """`Project.run` keeps commands off every hub; these have one of their own."""
    return project.run("env", "HF_HUB_OFFLINE=0", *command, check=check).stdout


def emptied(project: Project, target: Path) -> Project:
    """A clone of it: what git has, and none of what was made."""
    subprocess.run(["git", "clone", "--quiet", str(project.root), str(target)], check=True)
    for made in ("results", "approvals"):
        shutil.rmtree(target / made)
        (target / made).mkdir()
    return Project(target)


def test_a_fetched_lineage_has_nothing_left_to_do(finished: Project, hub: FakeHub, tmp_path: Path) -> None:
    output = online(finished, "lamarck", "publish", "g2", "--repo", REPO)
    commit = re.search(r"^commit ([0-9a-f]{40})$", output, re.MULTILINE)
    assert commit
    clone = emptied(finished, tmp_path / "clone")
    online(clone, "lamarck", "fetch", REPO, "--revision", commit[1])
    status = json.loads(clone.run("lamarck", "status", "--json").stdout)
    assert status["next"]["state"] == "done"
    assert {reason for each in status["generations"] for reason in each["artifacts"].values()} == {None}
    assert "Nothing to be done" in clone.snakemake("--dry-run", "--until", "lineage")
    assert "match their records" in clone.run("lamarck", "verify").stdout


def test_every_generation_is_published_before_anything_is_made_from_it(
    at_gate: Project, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = at_gate.copy(tmp_path / "project")
    project.config(publish={"repo": REPO}, control=False)
    monkeypatch.setenv("HF_TOKEN", READER)
    refused = online(project, "snakemake", check=False)
    assert f"the token in HF_TOKEN may not write to {REPO}" in refused
    monkeypatch.setenv("HF_TOKEN", WRITER)
    online(project, "snakemake")
    project.approve("g1")
    # The hub refuses: g1 is trained and stays, nothing is made from it.
    hub.statuses["commit"] = [500]
    failed = online(project, "snakemake", "results/g1/eval.json", check=False)
    assert "the hub answered 500" in failed
    assert (project.root / "results/g1/adapter/training.json").exists()
    assert not (project.root / "results/g1/eval.json").exists()
    trained = file_digests(project.root / "results/g1/adapter")
    output = online(project, "snakemake")
    assert file_digests(project.root / "results/g1/adapter") == trained
    assert WRITER not in output
    published, scores = (project.read(f"results/g1/{name}") for name in ("published.json", "published.scores.json"))
    commits = hub.repositories[REPO].commits
    assert list(commits).index(published["commit"]) < list(commits).index(scores["commit"])
    assert "results/g1/adapter/training.json" in commits[published["commit"]]
    assert "results/g1/eval.json" not in commits[published["commit"]]
    assert "results/g1/eval.json" in commits[scores["commit"]]
    assert "Nothing to be done" in online(project, "snakemake", "--dry-run")


@pytest.fixture(scope="module")
def exported(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("exported") / "g2"
    finished.run("lamarck", "export", "g2", "--to", str(output))
    return output


def test_an_export_says_what_the_merge_costs(finished: Project, exported: Path) -> None:
    record = json.loads((exported / "export.json").read_text())
    assert record["files"] == file_digests(exported, skip=["export.json"])
    own = finished.read("results/g2/eval.json")
    assert record["to_generation"]["difference"] == pytest.approx(record["scores"]["score"] - own["score"], abs=1e-3)
    assert record["to_generation"]["n"] == sum(task["n"] for task in own["tasks"].values())


def test_an_export_is_refused(finished: Project, exported: Path, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")

    def refusal(*options: str, to: str = "out") -> str:
        done = project.run("lamarck", "export", "g2", "--to", to, *options, check=False)
        assert done.returncode == 1
        assert not (project.root / "out").exists()
        return done.stdout

    assert "is there already" in refusal(to=str(exported))
    assert "--gguf needs llama.cpp's convert_hf_to_gguf.py" in refusal("--gguf")
    adapter = project.root / "results/g2/adapter/adapter_model.safetensors"
    kept = adapter.read_bytes()
    adapter.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert "results/g2/adapter is not what its record says" in refusal()
    adapter.write_bytes(kept)
    (project.root / "results/g2/eval.record.json").unlink()
    assert "g2 has no scores to compare with" in refusal()


def test_a_founder_on_the_hub_goes_straight_to_the_pod(
    at_gate: Project, hub: FakeHub, runpod: FakeRunPod, tmp_path: Path
) -> None:
    project = at_gate.copy(tmp_path / "project")
    shards = project.root / "results/g0/weights/shards.json"
    model = {path.name: path.read_bytes() for path in shards.parent.iterdir() if path.name != "source.json"}
    founder = hub.repositories["owner/base"] = Repository(private=True, lfs_paths={"model.safetensors"})
    project.config(
        founder={"kind": "hub", "repo": "owner/base", "revision": founder.commit(model)}, generations=1, control=False
    )
    # What the other founder wrote and scored is not this one's.
    shutil.rmtree(project.root / "results/g1")
    for name in ("eval.json", "eval.record.json", "samples.jsonl"):
        (project.root / "results/g0" / name).unlink()
    digest = file_digests(shards.parent)["model.safetensors"]
    hub.log.clear()
    online(project, "snakemake", "results/g0/weights", *POD)
    assert not runpod.all_pods, "naming it needs no pod"
    assert json.loads(shards.read_text())["files"]["model.safetensors"]["sha256"] == digest
    hub.log.clear()
    handed = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_DISABLE_XET")
    online(project, "snakemake", "results/g1/curriculum.jsonl", *POD, "--envvars", *handed)
    assert len(runpod.all_pods) == 1
    assert hub.log.count(f"get /lfs/{digest}") == 1
    for here in (project.root / "results/g0/weights", tmp_path / "hf-home"):
        assert not list(here.rglob("model.safetensors"))
    assert "match their records" in project.run("lamarck", "verify").stdout
