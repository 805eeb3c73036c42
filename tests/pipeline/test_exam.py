"""An exam is sat by finalists, beside the scores that chose, and chooses nothing."""

import json
import shutil
from pathlib import Path

import yaml

from tests.pipeline.conftest import REPOSITORY, Project

EXAM = "small-exam"
NOTHING = "Nothing to be done"


def set_exam(project: Project) -> None:
    """The shipped exam with a tenth of the questions, for a lineage that is finished already."""
    suite = project.root / "config/suites" / EXAM
    shutil.copytree(REPOSITORY / "config/suites/tiny-exam-v2", suite)
    (suite / "FROZEN").unlink()
    values = yaml.safe_load((suite / "suite.yaml").read_text()) | {"name": EXAM}
    values["tiers"]["teaching"] |= {"samples": 40, "epochs": 1}
    (suite / "suite.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for items in (suite / "items").iterdir():
        items.write_text("".join(items.read_text().splitlines(keepends=True)[:20]))
    project.config(exams=[f"config/suites/{EXAM}"])


def test_finalists_sit_an_exam_and_nothing_else_is_made_again(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    set_exam(project)
    jobs = [line.split() for line in project.snakemake("--dry-run").splitlines()]
    assert ["exam", "3"] in jobs and not any(["train", str(number)] in jobs for number in range(1, 5))
    project.snakemake(f"results/g0/exams/{EXAM}.json", f"results/g2/exams/{EXAM}.json")
    sat = project.read(f"results/g2/exams/{EXAM}.json")
    assert sat["suite"]["name"] == EXAM and sat["score"] is not None
    compared = json.loads(project.run("lamarck", "compare", "g2", "g0", "--exam", EXAM, "--json").stdout)
    assert set(compared["tasks"]) >= set(sat["tasks"])
    status = json.loads(project.run("lamarck", "status", "--json").stdout)
    founder = status["generations"][0]
    assert founder["artifacts"][f"{EXAM}.json"] is None
    assert NOTHING in project.snakemake("--dry-run", f"results/g0/exams/{EXAM}.json")


def test_what_chooses_is_not_sat_as_an_exam_nor_an_exam_chosen_by(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    set_exam(project)
    evaluate = (
        *("python", "-m", "lamarck.eval", "--config", "config/default.yaml", "--generation", "g0"),
        *("--weights", "results/g0/weights", "--student", "results/g0/student", "--output", "eval.json"),
        *("--samples", "samples.jsonl", "--record", "record.json", "--answers", "answers.jsonl"),
    )
    chosen_by = project.run(*evaluate, "--suite", f"config/suites/{EXAM}", check=False)
    assert chosen_by.returncode == 1 and "may choose nothing" in chosen_by.stdout
    sat = project.run(*evaluate, "--suite", "config/suites/small", "--exam", check=False)
    assert sat.returncode == 1 and "is not an exam" in sat.stdout
    project.config(exams=["config/suites/small"])
    assert "an exam is another suite" in project.run("lamarck", "status", check=False).stdout
