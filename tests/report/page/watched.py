"""A page in the browser, watched: what it says on the console, and whatever it asks for."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

PHONE = {"width": 390, "height": 800}
DESK = {"width": 1280, "height": 1000}
PATIENCE = 60_000  # milliseconds: what else runs here is not the page's doing
expect.set_options(timeout=PATIENCE)


@contextlib.contextmanager
def opened(browser: Browser, path: Path, size: dict[str, int] = DESK, dark: bool = False) -> Iterator[Page]:
    """The page, every part of it drawn. Fails on any console message of an error, any dialog and any request but the
    one for the page itself."""
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.resolve().as_uri())
    scroll_through(page)
    yield page
    context.close()
    assert complaints == []
    assert {url.split("#")[0] for url in requests} == {path.resolve().as_uri()}


# What has come into sight is told so after the next frame, and draws itself before the one after that.
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"


def scroll_through(page: Page) -> None:
    """Parts are drawn when they come into sight."""
    place = 0
    while place < page.evaluate("document.documentElement.scrollHeight"):
        page.evaluate(f"scrollTo(0, {place})")
        page.evaluate(DRAWN)
        place += 600
    for browser_id in ("#items", "#outcomes"):
        if page.locator(browser_id).count():
            expect(page.locator(f"{browser_id} .found")).not_to_be_empty()
    page.evaluate("scrollTo(0, 0)")
