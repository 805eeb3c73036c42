"""Arms side by side: raised by the real rules, under one approval, entered in a ledger and compared as they are."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake_executor_plugin_runpod.ledger import Ledger

from lamarck.files import read_jsonl
from tests.pipeline.conftest import STRATEGY, WORLD, Project
from tests.pipeline.test_slurm import jobs, slurm  # noqa: F401
from tests.runpod.fake import FakeRunPod

ARMS = [
    {"name": "default", "why": "the first", "scored": "g1"},
    {"name": "unverified", "why": "its control arm", "scored": "control/g1"},
    {"name": "founder", "why": "what both began with", "scored": "g0"},
]
FILE = "config/campaigns/small.yaml"
RESULTS = "results/campaigns/small"


def write(project: Project, **changes: Any) -> None:
    values = {"description": "Small.", "configfile": "config/default.yaml", "seeds": [1, 2], "arms": ARMS} | changes
    path = project.root / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(values))))  # without aliases


def campaign(project: Project, *arguments: str, check: bool = True) -> str:
    return project.run("lamarck", "campaign", *arguments, check=check).stdout


@pytest.fixture(scope="module")
def project(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = blank.copy(tmp_path_factory.mktemp("campaign") / "project")
    # What is raised here need not know much.
    recipe = yaml.safe_load((project.root / "config/default.yaml").read_text())["recipe"] | {"steps": 8}
    project.config(generations=1, founder=WORLD | {"steps": 150, "decay_steps": 50}, recipe=recipe)
    strategy = STRATEGY | {"size": 40, "probe_samples": 50, "samples_per_item": 3, "minimum_items": 1}
    (project.root / "config/strategies/small.yaml").write_text(yaml.safe_dump(strategy))
    return project


def test_arms_are_raised_under_one_approval_and_compared_by_seed(project: Project) -> None:
    write(project)
    run = ("run", FILE, "--by", "A Tester", "--jobs", "2")
    refused = campaign(project, *run, "--digest", "00000000", check=False)
    assert "nothing is approved" in refused
    assert not (project.root / "results/campaigns").exists()
    # The arms share their runs.
    assert "2 lineages, 4 training runs" in refused
    assert "there is nobody to ask here" in campaign(project, *run, check=False)

    document = project.root / "docs/small.md"
    document.write_text("Before.\n<!-- campaign small -->\nold\n<!-- end of campaign small -->\nAfter.\n")
    digest = refused.rpartition("Its short digest: ")[2][:8]
    campaign(project, *run, "--digest", digest, "--write", "docs/small.md")
    found = rows_of(project)
    assert list(found) == [arm["name"] for arm in ARMS]
    assert found["default"]["difference"] is None
    unverified = found["unverified"]
    pairs = [(unverified["scores"][seed], found["default"]["scores"][seed]) for seed in ("1", "2")]
    assert unverified["difference"] == pytest.approx(sum(own - first for own, first in pairs) / 2)
    assert unverified["low"] <= unverified["difference"] <= unverified["high"]
    control = [project.read(f"{RESULTS}/default/s{seed}/control/g1/eval.json")["score"] for seed in (1, 2)]
    assert list(found["unverified"]["scores"].values()) == control
    founders = [json.loads(path.read_text())["score"] for path in project.root.glob("results/founders/*/g0/eval.json")]
    assert sorted(found["founder"]["scores"].values()) == sorted(founders)
    approvals = sorted(path.name for path in (project.root / "approvals").rglob("*.ok"))
    assert approvals == ["small.all.ok"]
    text = document.read_text()
    assert text.startswith("Before.\n") and text.endswith("After.\n") and "old" not in text
    assert f"| unverified | control/g1 | 2 | {found['unverified']['mean']:.1f} |" in text
    assert "6 of 6 members are finished" in text and "6 of 6 members" in campaign(project, "status", "small")

    # What comes back by `dvc pull`: the members, and what they show, which a rule made.
    outs = yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]["campaign-small"]["outs"]
    assert [list(each) for each in outs] == [[RESULTS]]
    assert project.read(f"{RESULTS}/result.json")["arms"] == list(found.values())
    made = (project.root / RESULTS / "result.json").stat().st_mtime_ns

    # Run again it asks and does nothing: every member is in the ledger.
    trained = {path: path.stat().st_mtime_ns for path in (project.root / RESULTS).rglob("*.safetensors")}
    campaign(project, *run)
    assert rows_of(project) == found
    assert (project.root / RESULTS / "result.json").stat().st_mtime_ns == made
    assert {path: path.stat().st_mtime_ns for path in trained} == trained


def rows_of(project: Project) -> dict[str, dict[str, Any]]:
    return {row["arm"]: row for row in json.loads(campaign(project, "report", "small", "--json"))["arms"]}


def test_it_comes_back_by_dvc_pull_and_nothing_runs(project: Project, tmp_path: Path) -> None:
    """After the test above. The fault: `verify` looked at the main lineage alone, so a campaign was never damaged."""
    remote = tmp_path / "remote"
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "a campaign")
    project.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    project.run("dvc", "push", "--quiet")
    clone = Project(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", str(project.root), str(clone.root)], check=True)
    before = clone.run("lamarck", "verify", check=False).stdout
    assert "results/founders does not hold (2 such in all): missing; restore it with `dvc pull`" in before

    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    # The main lineage has yet to be raised, here as there.
    clone.run("dvc", "pull", "--quiet", "--allow-missing")
    told = json.loads(campaign(clone, "status", "small", "--json"))
    assert (told["finished"], told["members"], told["steps"][0]["state"]) == (6, 6, "approved")
    assert list(rows_of(clone).values()) == project.read(f"{RESULTS}/result.json")["arms"]
    verified = json.loads(clone.run("lamarck", "verify", "--json").stdout)
    assert verified["broken"] == verified["outdated"] == {}
    # The suite's student, weights and scores of two founders, four children with curriculum, adapter and scores, two
    # plans, and what the campaign shows.
    assert verified["checked"] == 1 + 2 * 2 + 4 * 3 + 2 + 1
    scores = [f"{RESULTS}/default/s{seed}/{child}/eval.json" for seed in (1, 2) for child in ("g1", "control/g1")]
    assert "Nothing to be done" in clone.snakemake("--dry-run", f"{RESULTS}/result.json", *scores)

    weights = clone.root / RESULTS / "default/s2/control/g1/adapter/adapter_model.safetensors"
    content = weights.read_bytes()
    weights.unlink()  # it may be a link into DVC's cache
    weights.write_bytes(content + b"x")
    damaged = clone.run("lamarck", "verify", check=False).stdout
    assert f"{RESULTS}/default/s2/control/g1/adapter does not hold" in damaged and "its bytes differ" in damaged


def test_no_member_of_a_campaign_has_a_checkpoint(project: Project) -> None:
    """After the tests above. Behind each, Snakemake asks again what all jobs are made from: a campaign's approval names
    what may follow, so nothing has to be found out. The fault: a child of two arms had one."""
    log = (project.root / "logs/campaigns/small.log").read_text()
    assert "(Rule: member_plan)" in log and "checkpoint" not in log
    crossed = project.root / RESULTS / "crossed/s1"
    crossed.mkdir(parents=True)
    arms = [f"campaigns/small/default/s1/{arm}" for arm in ("g1", "control/g1")]
    description = yaml.safe_load((project.root / RESULTS / "default/s1/lineage.yaml").read_text())
    (crossed / "lineage.yaml").write_text(yaml.safe_dump(description | {"parents": {2: arms}}))
    planned = project.snakemake("--dry-run", "--quiet", "host", "--", f"{RESULTS}/crossed/s1/g2/plan.json")
    shutil.rmtree(crossed.parent)
    assert "rule member_cross_plan:" in planned and "checkpoint" not in planned


def test_a_ledger_goes_on_elsewhere_and_tells_how_far_it_is(project: Project) -> None:
    """After the test above: a line that is missing is one member less, whose scores are still there."""
    ledger = project.root / RESULTS / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-1]))
    assert "5 of 6 members" in campaign(project, "status", "small")
    campaign(project, "run", FILE, "--jobs", "2")
    again = [row for _, row in read_jsonl(ledger)]
    assert [row["score"] for row in again] == [json.loads(line)["score"] for line in lines]
    ledger.write_text(ledger.read_text() + json.dumps(again[-1] | {"score": again[-1]["score"] + 1}) + "\n")
    assert "two scores" in campaign(project, "report", "small", check=False)
    ledger.write_text("".join(lines))


def test_a_member_is_in_the_ledger_before_the_others_are_finished(project: Project) -> None:
    """After the tests above: of one seed's members the children are scored again, one after the other.

    Their plan is made again, too, and comes out as it was: nothing is trained for that.
    """
    ledger = project.root / RESULTS / "ledger.jsonl"
    lines = ledger.read_text()
    ledger.write_text("".join(line for line in lines.splitlines(keepends=True) if json.loads(line)["seed"] == 1))
    for arm in ("g1", "control/g1"):
        (project.root / RESULTS / f"default/s2/{arm}/eval.json").unlink()
    (project.root / RESULTS / "default/s2/g1/plan.json").unlink()
    trained = {path: path.stat().st_mtime_ns for path in (project.root / RESULTS).rglob("*.safetensors")}
    seen = set[int]()
    command = ("lamarck", "campaign", "run", FILE, "--jobs", "1")
    with subprocess.Popen(command, cwd=project.root, env=project.environment, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            seen.add(ledger.read_text().count("\n"))
            time.sleep(0.05)
    assert run.returncode == 0 and seen >= {3, 5}
    assert len(trained) == 4 and {path: path.stat().st_mtime_ns for path in trained} == trained
    assert [json.loads(line)["score"] for line in sorted(ledger.read_text().splitlines())] == [
        json.loads(line)["score"] for line in sorted(lines.splitlines())
    ]
    ledger.write_text(lines)


# As it ships, without an accounting database, and asked more often than a cluster's controller likes to be.
QUEUE = {
    "slurm-no-account": True,
    "slurm-status-command": "squeue",
    "slurm-init-seconds-before-status-checks": 1,
    "seconds-between-status-checks": 1,
}


@pytest.mark.usefixtures("slurm")
def test_a_member_is_raised_in_a_queue(project: Project) -> None:
    """After the tests above, whatever profile the environment names: one child is scored again, on a cluster."""
    profile = project.root / "profiles/queue/config.yaml"
    profile.parent.mkdir()
    profile.write_text(
        yaml.safe_dump(yaml.safe_load((project.root / "profiles/slurm/config.yaml").read_text()) | QUEUE)
    )
    ledger = project.root / RESULTS / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    [child] = [line for line in lines if (row := json.loads(line))["seed"] == 2 and row["arm"] == "default"]
    ledger.write_text("".join(line for line in lines if line != child))
    (project.root / RESULTS / "default/s2/g1/eval.json").unlink()
    project.run("env", "SNAKEMAKE_PROFILE=profiles/queue", "lamarck", "campaign", "run", FILE, "--jobs", "1")
    ((rule, asked, state),) = (job.split() for job in jobs())
    assert rule.startswith("rule_eval_") and asked.endswith("gpu:1") and state == "COMPLETED"
    [again] = [json.loads(line) for line in ledger.read_text().splitlines() if line not in "".join(lines)]
    assert again["member"] == json.loads(child)["member"] and again["score"] == json.loads(child)["score"]
    ledger.write_text("".join(lines))


# As in test_runpod.py, with a pod for each of two lineages.
RENTED = {
    "jobs": 2,
    "runpod-pods": 2,
    "precommand": "true",
    "runpod-setup": "true",
    "runpod-preflight": "true",
    "runpod-gpu-memory": 24,
    "runpod-poll-seconds": 0.5,
    "runpod-disk": 1,
}


def test_members_are_raised_on_two_pods_at_once(project: Project, runpod: FakeRunPod) -> None:
    """After the first test, whose children they equal: each on a pod of its own, from one gate that asks for both."""
    profile = project.root / "profiles/rented/config.yaml"
    profile.parent.mkdir()
    shipped = yaml.safe_load((project.root / "profiles/runpod/config.yaml").read_text())
    profile.write_text(yaml.safe_dump(shipped | RENTED))
    path = project.root / "config/campaigns/rented.yaml"
    values = {"description": "", "configfile": "config/default.yaml", "seeds": [1, 2], "arms": ARMS[:1]}
    path.write_text(yaml.safe_dump(values | {"config": {"control": False}}))
    run = ("run", "config/campaigns/rented.yaml", "--by", "A Tester")
    asked = campaign(project, *run, "--digest", "0", check=False)
    assert "2 training runs" in asked and "$6.00" in asked, "not the sum of two ceilings"
    digest = asked.rpartition("Its short digest: ")[2][:8]
    project.run("env", "SNAKEMAKE_PROFILE=profiles/rented", "lamarck", "campaign", *run, "--digest", digest)
    for seed in (1, 2):
        there, here = (project.root / f"results/campaigns/{name}/default/s{seed}/g1" for name in ("rented", "small"))
        for file in ("curriculum.jsonl", "adapter/adapter_model.safetensors", "samples.jsonl"):
            assert (there / file).read_bytes() == (here / file).read_bytes(), file
    first, second = runpod.all_pods
    assert first.ended and second.ended and max(first.created, second.created) < min(first.ended, second.ended)
    ledger = Ledger(project.root / shipped["runpod-ledger"])
    plans = {account for row in ledger.rows.values() for account in row.accounts}
    assert len(plans) == 2 and all(0 < ledger.spent(plan, time.time()) < 3 for plan in plans)
    assert "2 of 2 members" in campaign(project, "status", "rented")


def test_arms_that_train_on_the_same_curriculum_have_it_written_once(project: Project) -> None:
    """It is written for the first of them, of which nothing else is asked for here."""
    path = project.root / "config/campaigns/recipes.yaml"
    arms = [
        {"name": "first", "why": "", "scored": "g0"},
        {"name": "short", "why": "", "scored": "g1", "config": {"recipe": {"steps": 4}}},
    ]
    path.parent.mkdir(exist_ok=True)
    values = {"description": "", "configfile": "config/default.yaml", "seeds": [1], "arms": arms}
    path.write_text(yaml.safe_dump(values | {"config": {"control": False}}))
    run = ("run", "config/campaigns/recipes.yaml", "--by", "A Tester", "--jobs", "2")
    digest = campaign(project, *run, "--digest", "0", check=False).rpartition("Its short digest: ")[2][:8]
    campaign(project, *run, "--digest", digest)
    first, short = (project.root / f"results/campaigns/recipes/{arm}/s1/g1" for arm in ("first", "short"))
    assert (short / "curriculum.jsonl").read_bytes() == (first / "curriculum.jsonl").read_bytes()
    records = [json.loads((each / "curriculum.json").read_text())["record"] for each in (first, short)]
    assert records[0]["device_seconds"] > 0 == records[1]["device_seconds"]
    assert records[1]["written_for"] == "campaigns/recipes/first/s1/g1"
    log = (project.root / "logs/campaigns/recipes/short/s1/g1/curriculum.log").read_text()
    assert "written for campaigns/recipes/first/s1/g1" in log and "samples by" not in log
    assert json.loads((short / "adapter/training.json").read_text())["steps"] == 4 and not (first / "adapter").exists()
    # It is its own from then on: without the original nothing of it is made again.
    shutil.rmtree(first)
    text = project.snakemake("--dry-run", "results/campaigns/recipes/short/s1/g1/eval.json")
    assert "Nothing to be done" in text


SEARCH = {
    "description": "Small.",
    "configfile": "config/default.yaml",
    "config": {"control": False},
    "scored": "g1",
    "proposer": "random",
    "space": {"replay_per_cell": {"kind": "integer", "low": 1, "high": 9}},
    "rounds": 1,
    "candidates": 2,
    "seeds": [1],
    "keep": {1: 1},
    "fresh_seeds": [2, 3],
}


def test_a_search_is_rounds_of_campaigns_and_a_final_on_fresh_founders(project: Project) -> None:
    path = project.root / "config/search/breed.yaml"
    path.write_text(yaml.safe_dump(SEARCH))
    command = ("lamarck", "search", "run", "config/search/breed.yaml", "--jobs", "1")
    text = project.run(*command, check=False).stdout
    # Three lineages of the round and four of the final: the human is asked about all of them, once.
    assert "at most 7 training runs" in text and "there is nobody to ask here" in text
    digest = text.rpartition("Its short digest: ")[2][:8]
    text = project.run(*command, "--by", "A Tester", "--digest", digest).stdout
    assert "points to the baseline" in text
    assert [path.name for path in (project.root / "approvals").rglob("breed*.ok")] == ["breed.ok"]
    # One member after the other, not one stage after the other.
    members = project.root / "results/campaigns/breed-r1"
    scored, written = (
        sorted(path.stat().st_mtime_ns for path in members.glob(f"*/s1/g1/{name}"))
        for name in ("eval.json", "curriculum.jsonl")
    )
    assert len(scored) == len(written) == 3 and scored[0] < written[1] and scored[1] < written[2]
    # The campaign before had made two of the three founders.
    assert len(list((project.root / "results/founders").iterdir())) == 3
    found = json.loads(project.run("lamarck", "search", "report", "breed", "--json").stdout)
    assert found["finished"] and len(found["candidates"]) == 2
    assert set(found["winner"]["scores"]) == {"2", "3"}
    project.run("lamarck", "search", "adopt", "breed")
    adopted = project.root / "config/strategies/breed.yaml"
    assert yaml.safe_load(adopted.read_text())["replay_per_cell"] == found["winner_values"]["replay_per_cell"]
    assert "founders that chose nothing" in adopted.read_text()
    assert "is there already" in project.run("lamarck", "search", "adopt", "breed", check=False).stdout


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arms": [ARMS[0], ARMS[0]]}, "two arms have the same name"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "config": {"founder": {}}}]}, "not founder"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "config": {"recipe": {"rnk": 1}}}]}, "did you mean 'rank'"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "strategy": {"siz": 1}, "scored": "g1"}]}, "did you mean 'size'"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "scored": "g7"}]}, "reads g7, but has 1 generations"),
        (
            {"arms": [ARMS[0], {"name": "x", "why": "", "config": {"control": False}, "scored": "control/g1"}]},
            "needs `control: true`",
        ),
        ({"seeds": []}, "seeds"),
    ],
)
def test_a_campaign_that_could_not_run_is_refused(project: Project, changes: dict[str, Any], sentence: str) -> None:
    write(project, **changes)
    assert sentence in campaign(project, "run", FILE, "--by", "A Tester", "--digest", "x", check=False)
