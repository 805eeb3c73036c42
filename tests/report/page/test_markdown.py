"""The summary that a pull request carries."""

import subprocess
from pathlib import Path

import pytest
import yaml

from lamarck.commands.report import report_md
from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json
from tests.report.page.test_report import CONFIG


def git(*arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=A Tester", "-c", "user.email=a@example.org", *arguments], check=True)


def row(text: str, generation: str) -> str:
    return next(line for line in text.splitlines()[::-1] if line.startswith(f"| {generation} "))


def test_scores_and_the_difference_to_a_revision(lineage: Path) -> None:
    git("init", "--quiet")
    git("add", "results/g0/eval.json", "results/g1/eval.json")
    git("commit", "--quiet", "--message", "before")
    scores = read_json(Path("results/g1/eval.json"))
    text = report_md(CONFIG, "HEAD")
    assert f"{scores['score']:.1f}" in row(text.split("###")[0], "g1")
    assert "not compared" in row(text, "g1")  # git has the scores, and nobody the outcomes of that revision
    assert row(text, "g1").split("|")[2].strip() == f"{scores['score']:.1f}"
    assert row(text, "g2").endswith("| new |")
    assert "| search/" not in text


def test_what_each_generation_took(lineage: Path) -> None:
    """Both arms by part; dollars where the configuration rents what wrote and scored, and none for this machine."""
    text = report_md(CONFIG, None)
    assert row(text, "g1") == "| g1 | 20 | 15 | 8 | 0 | 43 |  |"
    assert row(text, "all") == "| all | 80 | 60 | 40 | 100 | 280 |  |", "two children in both arms, and the founder"
    config = yaml.safe_load(CONFIG.read_text())
    rented = {"gpu": "A40", "count": 2, "dollars_per_hour": 36.0}  # a cent a second, of each
    CONFIG.write_text(yaml.safe_dump(config | {"machines": {"curriculum": rented, "eval": {**rented}}}))
    assert row(report_md(CONFIG, None), "g1").endswith("|  |"), "its records say that it was made here"
    for path in Path("results").rglob("*.json"):
        path.write_text(path.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    text = report_md(CONFIG, None)
    assert row(text, "g1").endswith("| 43 | $0.28 |")
    assert "Writing and evaluating took $1.76 at the configuration's prices" in text


def test_a_revision_that_does_not_exist_is_refused(lineage: Path) -> None:
    git("init", "--quiet")
    with pytest.raises(LamarckError, match="'nowhere' is not a git revision"):
        report_md(CONFIG, "nowhere")


def test_names_are_not_markup(lineage: Path) -> None:
    scores = read_json(Path("results/g2/eval.json"))
    errors = {"arithmetic_2": "<img src=x> | [a](http://b) `c`"}
    write_json(Path("results/g2/eval.json"), scores | {"partial": True, "errors": errors})
    text = report_md(CONFIG, None)
    assert "&lt;img src=x&gt; \\| \\[a\\](http://b) \\`c\\`" in text
    assert "| g2 | partial |" in text
