"""The pages of a real lineage, in a real browser."""

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.pipeline.conftest import Project
from tests.report.page.watched import PHONE, opened

LARGEST = 3_000_000


@pytest.fixture(scope="module")
def report(finished: Project) -> Path:
    assert "open it in any browser" in finished.run("lamarck", "report").stdout
    return finished.root / "results/report.html"


def picture(request: pytest.FixtureRequest, page: Page, name: str) -> None:
    folder = request.config.getoption("--screenshots")
    if folder:
        page.screenshot(path=folder / f"{name}.png")


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]} ({len(each['nodes'])})"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def points(value: float) -> str:
    return f"{value:.1f}"


def test_the_numbers_are_those_of_the_evaluations(browser: Browser, finished: Project, report: Path) -> None:
    assert report.stat().st_size < LARGEST
    with opened(browser, report) as page:
        for name in ("g0", "g1", "g2", "control/g1", "control/g2"):
            scores = finished.read(f"results/{name}/eval.json")
            row = page.locator("#scores-table tbody tr", has=page.get_by_role("rowheader", name=name, exact=True))
            assert row.locator("td").first.inner_text().startswith(points(scores["score"]))
            assert points(scores["score"]) in page.locator('[data-chart="lineage"]').inner_text()
        compared = finished.run("lamarck", "compare", "g2", "g0", "--json").stdout
        assert f"{json.loads(compared)['difference']:+.1f}" in page.locator(".answers").inner_text()
        assert "A Tester" in page.locator(".answers").inner_text()


def test_a_node_opens_its_record(browser: Browser, finished: Project, report: Path) -> None:
    training = finished.read("results/g1/adapter/training.json")
    with opened(browser, report) as page:
        page.get_by_role("link", name=re.compile("^g1: scored")).focus()
        page.keyboard.press("Enter")
        record = page.locator("#record")
        record.wait_for(state="visible")
        assert record.get_by_text(training["record"]["digest"]).count() == 2  # as stated, and as found
        assert record.locator(".state").all_inner_texts() == ["whole"] * 5
        record.get_by_role("button", name="Close").click()
        assert not record.is_visible()


def test_items_are_searched_and_filtered(browser: Browser, finished: Project, report: Path) -> None:
    lines = (finished.root / "results/g2/curriculum.jsonl").read_text().splitlines()
    with opened(browser, report) as page:
        items = page.locator("#items")
        found = items.locator(".found")
        assert found.inner_text().startswith(f"{len(lines):,} items found")
        wanted = json.loads(lines[7])
        items.get_by_label("Search").fill(wanted["prompt"])
        expect(items.locator(".row").first).to_contain_text(wanted["completion"])
        items.get_by_label("Search").fill("no item says this")
        expect(found).to_have_text(re.compile("^0 items"))
        items.get_by_label("Search").fill("")
        items.get_by_label("Curriculum of").select_option("control/g1")
        items.get_by_label("Verdict").select_option("not verified")
        expect(found).to_contain_text("control/g1")
        expect(items.locator(".row").first).to_contain_text("not verified")


def test_gained_and_lost_answers(browser: Browser, finished: Project, report: Path) -> None:
    rows = {name: _outcomes(finished, name) for name in ("g0", "g1", "g2")}
    gained = sum(rows["g2"][key] > rows["g0"][key] for key in rows["g0"])
    lost = sum(rows["g2"][key] < rows["g0"][key] for key in rows["g0"])
    with opened(browser, report) as page:
        outcomes = page.locator("#outcomes")
        for change, count in (("gained", gained), ("lost", lost)):
            outcomes.get_by_label("From first to last").select_option(change)
            expect(outcomes.locator(".found")).to_have_text(f"{count:,} of {len(rows['g0']):,} items")


def _outcomes(project: Project, name: str) -> dict[tuple[str, int], float]:
    lines = (project.root / f"results/{name}/samples.jsonl").read_text().splitlines()
    return {(row["task"], row["index"]): row["score"] for row in map(json.loads, lines)}


@pytest.mark.parametrize("dark", [False, True])
def test_anyone_can_read_it(browser: Browser, report: Path, dark: bool, request: pytest.FixtureRequest) -> None:
    with opened(browser, report, dark=dark) as page:
        assert serious(page) == []
        picture(request, page, "report-dark" if dark else "report")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Use light colours" if dark else "Use dark colours").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert serious(page) == []


def test_it_fits_a_phone(browser: Browser, report: Path, request: pytest.FixtureRequest) -> None:
    with opened(browser, report, PHONE) as page:
        picture(request, page, "report-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_review_ends_with_the_command_that_approves(
    browser: Browser, at_gate: Project, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page_file = tmp_path / "review.html"
    at_gate.run("lamarck", "review", "g1", "--html", str(page_file))
    plan = json.loads(at_gate.run("lamarck", "review", "g1", "--json").stdout)
    with opened(browser, page_file) as page:
        picture(request, page, "review")
        assert serious(page) == []
        assert page.locator("pre").last.inner_text() == (
            f'lamarck approve g1 --by "YOUR NAME" --digest {plan["short"]}'
        )
        assert page.locator("#shown-items details").first.locator(".row").count() == 20
        assert page.locator("form:not([role=search])").count() == 0
        assert not (at_gate.root / "approvals/g1.ok").exists()


def test_the_rule_and_the_demo_write_it(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    path = project.root / "results/report.html"
    path.unlink(missing_ok=True)
    project.snakemake("report")
    made = path.read_text()
    path.unlink()
    assert project.run("lamarck", "demo").stdout.rstrip().splitlines()[-1].split()[0] == "results/report.html"
    assert path.read_text() == made
