"""The first screen in a real browser: what next, what it comes to, and the ways to what people ask for first."""

import pytest
from tests.console.conftest import ROUTE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
def test_it_says_where_the_project_is_and_what_next(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open(waits=".next")
    assert "What next" in page.locator(".next").inner_text()
    assert "freehold " in page.locator(".next code").first.inner_text()
    tiles = page.locator(".tiles").inner_text()
    assert "requests" in tiles and "60" in tiles and "share at home" in tiles and "saved" in tiles
    assert page.locator(".steps li[aria-current=step]").count() == 1
    assert page.locator("section", has_text="Routes").get_by_text(ROUTE).count() == 1
    visit.clean()
