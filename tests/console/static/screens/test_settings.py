"""Settings in a browser: what the file sets stands apart from what it could."""

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_set_stands_first_with_its_source(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("settings", waits=".panel table")
    first = page.locator("#screen .panel").first.inner_text()
    assert "[incumbent] model" in first and "gpt-4o" in first and "freehold.toml" in first
    assert "FREEHOLD_PORT" in page.locator("#screen .panel").nth(1).inner_text()
    visit.clean()
