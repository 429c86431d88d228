"""Settings in a browser: what the file sets stands apart from what it could."""

import pytest
from tests.console.waiting import until

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_set_stands_first_with_its_source(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("settings", waits=".panel table")
    first = page.locator("#screen .panel").first.inner_text()
    assert "[incumbent] model" in first and "gpt-4o" in first and "freehold.toml" in first
    assert "FREEHOLD_PORT" in page.locator("#screen .panel").nth(1).inner_text()
    visit.clean()


def test_a_telephone_is_not_scrolled_for_ever_and_words_are_found(visiting, served):
    visit = visiting(served, width=390)
    page = visit.open("settings", waits=".panel table")
    assert page.evaluate("document.documentElement.scrollHeight") < 12_000
    until(page, "() => document.querySelectorAll('[data-key=rest] details').length > 10")
    page.get_by_label("Words in a name").fill("retention")
    page.keyboard.press("Enter")
    until(page, "() => location.hash.includes('find=retention')")
    page.wait_for_selector("[data-key=rest] details[open] td:has-text('retention')")
    assert page.locator("[data-key=rest] details").count() < 5
    page.get_by_role("link", name="Clear").click()
    until(page, "() => document.querySelectorAll('[data-key=rest] details').length > 10")
    visit.clean()
