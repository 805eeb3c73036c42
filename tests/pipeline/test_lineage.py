"""The whole chain: what it leaves behind, that it can be trusted, moved, changed and made again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from lamarck.config import load_config
from lamarck.lineage.artifacts import SCORES
from lamarck.lineage.freshness import examine, is_whole_line
from lamarck.lineage.generation import Generation
from tests.pipeline.conftest import BIN, Project

NOTHING = "Nothing to be done"
ADAPTER = "adapter/adapter_model.safetensors"


def contents(project: Project) -> dict[str, bytes]:
    """The bytes of every artifact that must be the same whenever it is made again."""
    names = ("curriculum.jsonl", ADAPTER, "adapter/adapter_config.json", "eval.json", "samples.jsonl")
    folders = ("g1", "g2", "control/g1", "control/g2")
    paths = [f"results/{folder}/{name}" for folder in folders for name in names]
    return {
        path: (project.root / path).read_bytes() for path in [*paths, "results/g1/plan.json", "results/g2/plan.json"]
    }


def test_scores_and_records(finished: Project) -> None:
    for folder in ("g0", "g1", "g2", "control/g1", "control/g2"):
        scores = finished.read(f"results/{folder}/eval.json")
        assert scores["generation"] == folder
        assert scores["partial"] is False
        assert 0 <= scores["score"] <= 100
        assert {"score", "n", "stderr"} <= set(next(iter(scores["tasks"].values())))
    training = finished.read("results/g2/adapter/training.json")
    assert training["steps"] == 30
    assert training["budget"]["stopped_by"] == "steps"
    assert training["record"]["code"]["commit"]
    assert training["peak_memory_bytes"] > 10**8  # torch alone takes more
    items = [json.loads(line) for line in (finished.root / "results/g2/curriculum.jsonl").read_text().splitlines()]
    assert all(item["verdict"]["verified"] for item in items)
    assert {item["teacher"]["generation"] for item in items} == {"g0", "g1"}
    control = [json.loads(x) for x in (finished.root / "results/control/g1/curriculum.jsonl").read_text().splitlines()]
    assert not any(item["verdict"]["verified"] for item in control)


def test_reward_is_the_grandchilds_score(finished: Project) -> None:
    founder = finished.read("results/lineage.json")["main"][0]
    assert founder["reward"] == finished.read("results/g2/eval.json")["score"]
    assert founder["proxy"] == finished.read("results/g1/eval.json")["score"]
    [strategy] = finished.read("results/lineage.json")["strategies"]["by_strategy"]
    assert strategy["path"] == "config/strategies/small.yaml"
    assert strategy["rewards"] == {"g0": founder["reward"]}
    assert "reward: the grandchild's" in finished.run("lamarck", "status").stdout


def test_no_held_out_prompt_is_ever_taught(finished: Project) -> None:
    held_out = {
        json.loads(line)["prompt"]
        for path in (finished.root / "config/suites/small/items").iterdir()
        for line in path.read_text().splitlines()
    }
    for folder in ("g1", "g2", "control/g1", "control/g2"):
        lines = (finished.root / f"results/{folder}/curriculum.jsonl").read_text().splitlines()
        assert held_out.isdisjoint(json.loads(line)["prompt"] for line in lines)


def test_a_finished_lineage_is_left_alone(finished: Project) -> None:
    output = finished.snakemake()
    assert NOTHING in output
    assert "The lineage is complete" in output
    # For each checkpoint Snakemake builds again what hangs on it: 50 generations would take twice as long.
    assert "checkpoint" not in output
    assert "artifacts match their records" in finished.run("lamarck", "verify").stdout
    assert "g2" in finished.run("lamarck", "demo").stdout


def test_compare(finished: Project) -> None:
    generations = json.loads(finished.run("lamarck", "compare", "g2", "g0", "--json").stdout)
    revisions = json.loads(finished.run("lamarck", "compare", "HEAD:g2", "HEAD:g0", "--json").stdout)
    assert generations == revisions
    assert "verdict" in finished.run("lamarck", "compare", "HEAD", "g0").stdout


def test_a_curriculum_out_of_its_limits_stops_the_run_and_is_kept(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    strategy = project.root / "config/strategies/small.yaml"
    limits = {"vendi": {"at_least": 0.01}, "novelty": {"at_least": 1.01}}
    strategy.write_text(yaml.safe_dump(yaml.safe_load(strategy.read_text()) | {"limits": limits}))
    done = project.run(
        *("python", "-m", "lamarck.curriculum", "--config", "config/default.yaml", "--generation", "g2"),
        *("--answers", "results/g2/curriculum.answers.jsonl"),
        *("--weights", "results/g0/weights", "--parent-change", "results/g1/adapter"),
        *("--plan", "results/g1/plan.json"),
        *("--earlier", "results/g1/curriculum.jsonl", "--first-card", "results/g1/curriculum.json"),
        *("--output", "curriculum.jsonl", "--card", "curriculum.json"),
        check=False,
    )
    assert done.returncode == 1
    assert "the curriculum of g2 is out of the limits in config/strategies/small.yaml: novelty is " in done.stdout
    assert not (project.root / "curriculum.jsonl").exists()
    assert (project.root / "curriculum.rejected.jsonl").stat().st_size > 1000
    assert {"guard-rail", "g0's"} <= set(project.run("lamarck", "review", "g2").stdout.split())


def test_a_changed_byte_is_found_and_made_again(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    path = project.root / "results/g2" / ADAPTER
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    done = project.run("lamarck", "verify", check=False)
    assert done.returncode == 1
    assert "results/g2/adapter does not hold" in done.stdout
    # What a person changed by hand is made again as well, and kept.
    curriculum = project.root / "results/g2/curriculum.jsonl"
    edited = curriculum.read_text().splitlines(keepends=True)[1:]
    curriculum.write_text("".join(edited))
    assert "results/g2/curriculum.jsonl was edited by hand and is made again" in project.snakemake()
    [kept] = curriculum.parent.glob("curriculum.edited-*.jsonl")
    assert kept.read_text() == "".join(edited)
    assert contents(project) == before


def test_everything_made_again_is_the_same(finished: Project, tmp_path: Path) -> None:
    """One command, because the approvals are there and the plans come out the same; in processes in which sets have
    another order."""
    project = finished.copy(tmp_path / "project").with_hash_seed("2")
    before = contents(project)
    shutil.rmtree(project.root / "results")
    project.snakemake()
    assert contents(project) == before


def whole(project: Project) -> tuple[bool, bool]:
    """Whether the scores of g2 are what their inputs make, and whether all that they come from is, too."""
    with contextlib.chdir(project.root):
        config = load_config(Path("config/default.yaml"))
        scores = examine(SCORES, Generation(2), config)
        return scores.state == "whole", is_whole_line(SCORES, Generation(2), config)


def test_a_changed_recipe_closes_the_gate_and_keeps_what_does_not_depend_on_it(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    config = (project.root / "config/default.yaml").read_text()
    project.config(recipe=yaml.safe_load(config)["recipe"] | {"steps": 31})
    done = project.run("snakemake", check=False)
    assert done.returncode != 0
    assert "approvals/g1.ok approves another plan" in done.stdout
    assert project.read("results/g1/plan.json")["cost"]["steps"] == 31
    kept = [path for path in before if not path.endswith("plan.json")]
    assert all((project.root / path).read_bytes() == before[path] for path in kept)
    # What was scored is there, and is what it says; what was to be scored no longer is.
    assert whole(project) == (True, False)
    # The plan comes out as it was: what was trained under it stays.
    (project.root / "config/default.yaml").write_text(config)
    trained = times(project)
    project.snakemake()
    assert contents(project) == before and whole(project) == (True, True)
    made = {path.partition("/results/")[2] for path, now in times(project).items() if now != trained.get(path)}
    assert "g1/plan.json" in made
    assert not {path for path in made if "adapter" in path or path.endswith(("eval.json", "curriculum.json"))}


def test_a_ceiling_that_ended_an_evaluation_is_raised_without_training_again(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    budget = yaml.safe_load((project.root / "config/default.yaml").read_text())["budget"]
    (project.root / "results/g0/eval.json").unlink()
    project.config(budget=budget | {"evaluating_seconds": 0.01})
    ended = project.snakemake("results/g0/eval.json", check=False)
    assert "the 0.01 device-seconds for evaluating g0 on small are spent: raise" in ended
    project.config(budget=budget | {"evaluating_seconds": 3000, "writing_seconds": 3000})
    project.snakemake("results/g0/eval.json")
    for generation in ("g1", "g2"):
        assert f"approvals/{generation}.ok approves another plan" in project.snakemake(check=False)
        project.approve(generation)
    trained = times(project)
    project.snakemake()
    after = contents(project)
    assert {path for path in before if after[path] != before[path]} == {"results/g1/plan.json", "results/g2/plan.json"}
    made = {path.partition("/results/")[2] for path, now in times(project).items() if now != trained.get(path)}
    assert not {path for path in made if "adapter" in path or path.endswith(("eval.json", "curriculum.json"))}


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_pushed_cloned_and_pulled(finished: Project, tmp_path: Path, link: str) -> None:
    clone = Project(tmp_path / "clone")
    remote = finished.root.parent / "remote"
    finished.run("dvc", "remote", "add", "--local", "--force", "--default", "store", str(remote))
    finished.run("dvc", "push", "--quiet")
    subprocess.run(["git", "clone", "--quiet", str(finished.root), str(clone.root)], check=True)
    clone.run("dvc", "config", "--local", "cache.type", link)
    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    clone.run("dvc", "pull", "--quiet")
    assert NOTHING in clone.snakemake("--dry-run")
    assert not (clone.root / ".lamarck/run.lock").exists()  # whoever looks keeps nobody from running
    assert "artifacts match their records" in clone.run("lamarck", "verify").stdout
    assert contents(clone) == contents(finished)
    assert clone.run("git", "status", "--porcelain").stdout == ""
    if link == "copy":
        # What a file's time says decides nothing, and looking changes nothing, not even a time.
        tomorrow = time.time() + 86400
        os.utime(clone.root / "config/default.yaml", (tomorrow, tomorrow))
        before = times(clone)
        assert NOTHING in clone.snakemake("--dry-run")
        for command in ("status", "verify", "report"):
            clone.run("lamarck", command, "--json")
        assert times(clone) == before


def times(project: Project) -> dict[str, tuple[int, int]]:
    """Path -> modification and change time, of all that is not a program's own notes."""
    own = {".git", ".snakemake", ".lamarck", ".dvc", "logs", "__pycache__"}
    files = [path for path in project.root.rglob("*") if not own & set(path.relative_to(project.root).parts)]
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in files}


def test_dvc_knows_what_there_is(finished: Project, tmp_path: Path) -> None:
    assert "up to date" in finished.run("dvc", "status").stdout
    assert "score" in finished.run("dvc", "metrics", "show").stdout
    changed = finished.run("dvc", "metrics", "diff", "HEAD~1").stdout
    rows = [line.split() for line in changed.split("\n")]
    (score,) = (float(row[3]) for row in rows if row[:3] == ["results/g2/eval.json", "score", "-"])
    assert score == pytest.approx(finished.read("results/g2/eval.json")["score"], abs=0.001)
    finished.run("dvc", "plots", "diff", "HEAD", "--out", str(tmp_path))
    assert '"arm": "control"' in (tmp_path / "index.html").read_text()


def test_dvc_repro_makes_what_is_missing_and_deletes_nothing_at_a_closed_gate(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    (project.root / "results/g2/samples.jsonl").unlink()
    project.run("dvc", "repro")
    assert contents(project) == before
    assert "up to date" in project.run("dvc", "status").stdout
    config = yaml.safe_load((project.root / "config/default.yaml").read_text())
    project.config(recipe=config["recipe"] | {"steps": 31})
    done = project.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert "approvals/g1.ok approves another plan" in done.stdout
    assert {path: data for path, data in contents(project).items() if "plan.json" not in path} == {
        path: data for path, data in before.items() if "plan.json" not in path
    }


def test_a_killed_training_resumes_to_the_same_bytes(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    adapter = project.root / "results/g2/adapter"
    while adapter.exists():  # also where a training was over before we could end it
        shutil.rmtree(adapter)
        run = subprocess.Popen(
            [BIN / "snakemake", "results/g2/adapter"],
            cwd=project.root,
            env=project.environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        checkpoint = project.root / "results/g2/checkpoint"
        while not any(checkpoint.glob("[0-9]*.safetensors")) and run.poll() is None:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert any(checkpoint.glob("[0-9]*.safetensors")), "the training ended before its first checkpoint"
    project.snakemake()
    assert contents(project) == before
