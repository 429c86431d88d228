"""The page in a real browser: nothing overflows, nothing is logged as an error, light and dark."""

import pytest
from tests.report.sample_full import full, hostile

from freehold.report import render

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(full()))
    return path


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "hostile.html"
    path.write_text(render(hostile()))
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
    assert page.locator("svg").count() == 7
    cells = "[...document.querySelectorAll('td, th, dd, .tile')]"
    beyond = page.evaluate(f"{cells}.filter(one => one.getBoundingClientRect().right > innerWidth).length")
    assert beyond == 0, "no column is hidden at the side"
    page.close()


def test_words_of_strangers_do_nothing_and_cover_nothing(browser, hostile_file):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    said = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith("file:") else None)
    page.goto(hostile_file.as_uri())
    assert said == [] and page.locator("script").count() == 0 and page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
