"""How large the pages are, how long they take to make and to answer, and their longest task while somebody browses.

python -m benchmarks.page
"""

import shutil
import tempfile
import time
from contextlib import chdir
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from lamarck.commands.report import PAGE, write_report
from tests.conftest import BROWSER_FLAGS
from tests.report.page.synthetic import write_lineage

CONFIG = Path("config/default.yaml")
RUNS = 5
# Every task of the page's thread that takes longer than a frame or three.
WATCH = "new PerformanceObserver((list) => tasks.push(...list.getEntries().map((each) => each.duration)))"
# Whether that is so.
BUSY = "setTimeout(() => { const end = performance.now() + 100; while (performance.now() < end); })"


def main() -> None:
    if PAGE.parent.joinpath("g0/eval.json").exists():
        _measure("the lineage here", CONFIG)
    with tempfile.TemporaryDirectory() as directory, chdir(directory):
        write_lineage(generations=50, candidates=0, items=10_000, outcomes=200)
        _measure("50 generations of 10,000 items", CONFIG)
        shutil.rmtree("config")
        shutil.rmtree("results")
        write_lineage(generations=50, candidates=200, items=60, outcomes=200)
        _measure("50 generations and 200 candidates", CONFIG)


def _measure(what: str, config: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "report.html"
        started, used = time.perf_counter(), time.process_time()
        write_report(config, path)
        wall, cpu = time.perf_counter() - started, time.process_time() - used
        print(f"{what}: built in {wall:.1f} s ({cpu:.1f} s of CPU), {path.stat().st_size / 1e6:.1f} MB", flush=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(BROWSER_FLAGS))
            loads = sorted(_load_seconds(browser.new_page(), path) for _ in range(RUNS))
            print(f"  interactive after {loads[0]:.2f} to {loads[-1]:.2f} s in {RUNS} runs")
            longest = sorted(_longest_task(browser.new_page(), path) for _ in range(RUNS))
            print(f"  longest task while browsing: {longest[0]:.0f} to {longest[-1]:.0f} ms in {RUNS} runs", flush=True)
            browser.close()


def _load_seconds(page: Page, path: Path) -> float:
    """Until every script has run and every button answers."""
    page.goto(path.as_uri())
    seconds = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    page.close()
    return float(seconds)


def _longest_task(page: Page, path: Path) -> float:
    """Milliseconds, over searching, filtering, leafing and choosing another generation in both browsers."""
    page.goto(path.as_uri())
    for browser_id in ("items", "outcomes"):
        page.locator(f"#{browser_id}").scroll_into_view_if_needed()
        page.locator(f"#{browser_id} .row").first.wait_for()
    page.wait_for_timeout(500)
    page.evaluate(f"tasks = []; {WATCH}.observe({{ type: 'longtask' }})")
    page.evaluate(BUSY)
    page.wait_for_timeout(500)
    assert page.evaluate("tasks.splice(0).length"), "a long task is not seen"
    for browser_id in ("items", "outcomes"):
        place = page.locator(f"#{browser_id}")
        for letter in "red":
            place.get_by_role("searchbox", name="Search").press_sequentially(letter)
            page.wait_for_timeout(250)
        place.get_by_role("searchbox", name="Search").fill("")
        page.wait_for_timeout(250)
        for _ in range(5):
            if (following := place.get_by_role("button", name="Next")).is_enabled():
                following.click()
        for select in place.locator("select").all():
            select.select_option(index=1)
            page.wait_for_timeout(250)
    longest = page.evaluate("Math.max(0, ...tasks)")
    page.close()
    return float(longest)


if __name__ == "__main__":
    main()
