"""The audit record in a browser: newest first, by pages, narrowed in the address."""

import pytest

from freehold.store import audit, open_store

pytestmark = pytest.mark.browser


def test_pages_and_filters_stand_in_the_address(visit, project):
    with open_store(project.store_url) as store:
        for number in range(120):
            audit.note(store.database, "export", f"file-{number}", who="<b>eve</b>", why="\x1b[31m")
    page = visit.open("audit", waits="tbody tr")
    assert page.locator("tbody tr").count() == 50
    assert "file-119" in page.locator("tbody tr").first.inner_text()
    assert "<b>eve</b>" in page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name="Next page").click()
    page.locator("tbody tr", has_text="file-69").wait_for()
    assert "after=" in page.url
    page.get_by_label("What", exact=True).fill("rollout")
    page.keyboard.press("Enter")
    page.locator("tbody tr", has_text="rollout.shadow").wait_for()
    assert "action=rollout" in page.url and "after=" not in page.url
    page.get_by_role("link", name="Clear").click()
    page.locator("tbody tr", has_text="file-119").wait_for()
    visit.clean()
