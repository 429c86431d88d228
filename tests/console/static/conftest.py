"""A real browser with the console's page, which notes what the page says and whom it asks."""

import contextlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.console.conftest import until

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


# Of a module: an event loop runs in this thread for as long as the browser is open, and other tests begin their own.
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


WIDE = """[...document.querySelectorAll("body *")].filter(one => one.clientWidth && one.scrollWidth > one.clientWidth
    && getComputedStyle(one).overflowX === "visible").slice(-3).map(one => one.outerHTML.slice(0, 300))"""
"""The innermost elements whose content stands out of them."""

TURN = """address => new Promise(done => { if (location.hash === address) return done();
    addEventListener("hashchange", () => done(), { once: true }); location.hash = address; })"""
"""Done once the page has been told of its new address."""


class Visit:
    """One page of the console. `said` is what its script complained of, `elsewhere` the requests to other hosts."""

    def __init__(self, page, url, token):
        self.page, self.url, self.token = page, url, token
        self.said, self.elsewhere = [], []
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._asked)

    def _asked(self, request):
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc and not request.url.startswith("data:"):
            self.elsewhere.append(request.url)

    def open(self, place="", *, waits="main #screen > *:not([aria-busy])"):
        """Go to a screen by its address (`rollout?window_s=60`), with the token, and wait until it is drawn."""
        if not self.page.url.startswith(self.url):
            self.page.goto(f"{self.url}/#token={self.token}")
            self.page.wait_for_selector("#screens a", state="attached")
        if place:
            self.page.evaluate(TURN, f"#/{place}")
        # Until then the screen before it stands there, which may hold what `waits` names as well.
        until(self.page, "() => !document.querySelector('#screen[aria-busy]')")
        self.page.wait_for_selector(waits)
        return self.page

    def clean(self, *, refused=()):
        """That the page complained of nothing, asked only this server, and fits the width of the window. Of answers
        with a status among `refused` the browser itself complains."""
        expected = tuple(f"status of {status}" for status in refused)
        assert [words for words in self.said if not any(one in words for one in expected)] == []
        assert self.elsewhere == []
        assert self.page.context.cookies() == []
        wide = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1], f"{wide[0]} px in a window of {wide[1]}: {self.page.evaluate(WIDE)}"


@pytest.fixture
def visiting(browser):
    """A function that opens a page: `visiting((url, token), width=390, dark=True)`."""
    with contextlib.ExitStack() as stack:

        def visit(served, *, width=1280, height=900, dark=False):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            stack.callback(context.close)
            return Visit(context.new_page(), *served)

        yield visit


@pytest.fixture
def visit(visiting, served):
    """The console of a project with a rollout that mirrors, at 1280 px."""
    return visiting(served)
