"""Traffic in a real browser: it comes by itself, is searched by the address, and a row leads to its trace."""

import pytest
from tests.console.conftest import trace
from tests.console.waiting import until

from freehold.store import open_store
from freehold.workflows.project import now

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_counted_drawn_and_listed(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("traffic", waits=".cards tbody tr")
    assert "60" in page.locator(".tiles").inner_text()
    assert page.locator("svg.picture rect.incumbent").count() > 5
    assert page.locator(".cards tbody tr").count() == 50
    visit.clean()


def test_new_requests_come_by_themselves_and_what_is_written_meanwhile_stays(visit, project):
    page = visit.open("traffic", waits=".cards tbody tr")
    page.get_by_label("User").fill("half a na")
    with open_store(project.store_url) as store:
        store.add_traces([trace(70_000, now(), id="fresh", user="<i>new</i>", total_ms=1234.0)])
    page.locator(".cards tbody tr", has_text="1.2 s").wait_for()
    assert "<i>new</i>" in page.locator(".cards tbody tr").first.inner_text()
    assert page.get_by_label("User").input_value() == "half a na"
    visit.clean()


def test_filters_stand_in_the_address_and_the_keyboard_leads_to_a_trace(visit):
    page = visit.open("traffic", waits=".cards tbody tr")
    page.keyboard.press("/")
    page.keyboard.type("words")
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('text=words')")
    page.locator("select[name=arm]").select_option("candidate")
    until(page, "location.hash.includes('arm=candidate')")
    page.locator(".cards tbody tr", has_text="candidate, mirrored").first.wait_for()
    page.locator("h1").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-arm]")
    assert page.url.count("trace?id=") == 1
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_selector(".next")
    page.keyboard.press("?")
    assert "next row" in page.locator("dialog").inner_text()
    visit.clean()
