"""A real lineage where people already look: DVC's plots, Snakemake's own report, TensorBoard."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import snakemake.assets
from playwright.sync_api import Browser, Page, expect

from tests.pipeline.conftest import Project

ARMS = ("g1", "control/g1", "g2", "control/g2")
VEGA = Path(snakemake.assets.__file__).parent / "data"  # the libraries that draw DVC's plots, as Snakemake ships them
SCRIPTS = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")
# Whoever asks the network is refused.
OFFLINE = ("env", "HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9")


def plots(project: Project, *command: str) -> dict[str, Any]:
    """Name -> the Vega-Lite specification that DVC made of it."""
    printed = project.run("dvc", "plots", *command, "--json").stdout
    found = json.loads(printed[printed.index("{") :])
    assert not found.get("errors"), found["errors"]
    specifications = {}
    for name, [drawn] in found["data"].items():
        content = drawn["content"]
        specifications[name] = json.loads(content) if isinstance(content, str) else content
    return specifications


def drawn_marks(page: Page, specification: dict[str, Any], kind: str) -> int:
    page.set_content("<div id='plot'></div>")
    for script in SCRIPTS:
        page.add_script_tag(path=VEGA / script)
    page.evaluate("async (plot) => { await vegaEmbed('#plot', plot, { renderer: 'svg' }) }", specification)
    return page.locator(f"#plot .role-mark.mark-{kind} > *").count()  # role-mark: not an axis's or a legend's


def test_dvc_draws_scores_with_intervals_and_training_by_step(browser: Browser, finished: Project) -> None:
    found = plots(finished, "show")
    assert set(found) == {"score by generation", "training loss", "training speed"}
    rows = found["score by generation"]["data"]["values"]
    assert {(row["arm"], row["generation"]) for row in rows} == {
        ("main", "g0"), ("main", "g1"), ("main", "g2"), ("control", "g1"), ("control", "g2"),
    }  # fmt: skip
    for row in rows:
        folder = f"control/{row['generation']}" if row["arm"] == "control" else row["generation"]
        scores = finished.read(f"results/{folder}/eval.json")
        stated = (scores["score"], scores["interval"]["low"], scores["interval"]["high"])
        assert tuple(float(row[name]) for name in ("score", "low", "high")) == pytest.approx(stated, abs=1e-5)
        assert stated[1] <= stated[0] <= stated[2]
    curves = found["training loss"]["data"]["values"]
    for arm in ARMS:
        log = finished.read(f"results/{arm}/adapter/training.json")["log"]
        own = [row for row in curves if row["filename"] == f"{arm}/adapter/training.json"]
        assert [(row["step"], row["loss"]) for row in own] == [(row["step"], row["loss"]) for row in log]
    page = browser.new_page()
    assert drawn_marks(page, found["score by generation"], "rule") == len(rows)
    assert drawn_marks(page, found["training loss"], "line") == len(ARMS)
    page.close()


def test_dvc_draws_two_revisions_beside_each_other(browser: Browser, finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    table = project.root / "results/scores.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if "control" not in line))
    found = plots(project, "diff", "HEAD")
    rows = found["score by generation"]["data"]["values"]
    assert [sum(row["rev"] == revision for row in rows) for revision in ("workspace", "HEAD")] == [3, 5]
    page = browser.new_page()
    assert drawn_marks(page, found["score by generation"], "rule") == 8
    assert drawn_marks(page, found["score by generation"], "line") == 3
    page.close()


def test_snakemakes_report_has_what_a_reader_wants_and_asks_no_network(
    browser: Browser, finished: Project, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project = finished.copy(tmp_path / "project")
    project.snakemake("report")
    path = tmp_path / "snakemake.html"
    project.run(*OFFLINE, "snakemake", "all", "report", "--report", str(path))
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    for category in ("Curricula", "Plans", "Training", "Evaluation", "The lineage"):
        expect(page.get_by_text(category, exact=True).first).to_be_visible()
    page.get_by_text("Training", exact=True).first.click()
    for arm in ARMS:
        expect(page.get_by_text(arm, exact=True).first).to_be_visible()
    expect(page.get_by_text("training.json", exact=True).first).to_be_visible()
    folder = request.config.getoption("--screenshots")
    if folder:
        page.screenshot(path=folder / "snakemake.png")
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert "guard-rails" in path.read_text()  # of a caption
    page.close()
    assert "Nothing to be done" in project.snakemake()


def test_a_training_shows_itself_in_tensorboard(finished: Project, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    project = finished.copy(tmp_path / "project")
    project.config(metrics="tensorboard")
    assert "Nothing to be done" in project.snakemake("--dry-run")  # how a run is watched changes nothing that it makes
    shutil.rmtree(project.root / "results/g2/adapter")
    project.snakemake("results/g2/adapter")
    events = EventAccumulator(str(project.root / "logs/tensorboard/g2"), {"scalars": 0}).Reload()
    log = project.read("results/g2/adapter/training.json")["log"]
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [
        (row["step"], pytest.approx(row["loss"], rel=1e-6)) for row in log
    ]
