"""The page in a real browser: nothing overflows, nothing is logged as an error, light and dark."""

from pathlib import Path

import pytest
from tests.report import sample_report as sample
from tests.report.sample_mixture import mixture

from freehold.report import render
from freehold.report.mixture_page import render_mixture

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        flags = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(sample.report(sample.candidate(), sample.candidate(model="second/model"))))
    return path


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_holds_together(browser, page_file, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None
    )
    page.goto(page_file.as_uri())
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text().endswith("Not proven yet")
    assert page.locator("svg").count() == 6
    page.close()


def test_the_columns_of_a_mixtures_curve_fit_a_phone(browser, tmp_path):
    """Four columns of figures: what is cut off at the side is not read."""
    path = tmp_path / "curve.html"
    path.write_text(render_mixture(mixture()))
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    tables = page.locator(".scroll").first
    assert tables.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    page.close()
