"""The screens of a project with a rollout that mirrors, in a real browser: what they show and do."""

import pytest
from tests.console.conftest import ROUTE, trace, until

from freehold.store import audit, open_store
from freehold.types.generation import AgainstEarlier, Generation, GenerationTraffic
from freehold.types.rollout import Rollout
from freehold.types.trace import Trace
from freehold.workflows.project import now

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


def test_a_record_is_a_list_of_its_fields(visit, project):
    with open_store(project.store_url) as store:
        (rollout,) = store.records(Rollout)
    page = visit.open(f"record?id={rollout.key}", waits=".tree")
    shown = page.locator("#screen").inner_text()
    assert Rollout.kind in shown and "support <b>intents</b>" in shown and "shadow_share" in shown
    visit.clean()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_shows_the_rollout_and_fits_a_telephone(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("rollout", waits=".route")
    assert "token" not in page.url
    assert page.locator(".route h2").first.inner_text() == ROUTE  # as text, not as markup
    assert page.locator(".route .pill").first.inner_text() == "mirroring"
    assert page.locator("svg.picture rect.incumbent").count() > 5
    assert page.get_by_role("button", name="Advance").is_disabled()
    assert "hours" in page.locator(".route .why").inner_text()
    visit.clean()


def test_generations_stand_beside_what_they_were_compared_with(visiting, served, project):
    earlier = AgainstEarlier(number=0, difference=0.01, low=-0.012, high=0.03, verdict="promote")
    of = {"route": ROUTE, "at": now(), "label": "words", "traffic": GenerationTraffic(after=0, upto=9)}
    with open_store(project.store_url) as store:
        store.put(Generation(number=0, state="serves", share=0.5, **of))
        store.put(
            Generation(
                number=1, state="rolled_back", share=0.62, difference=0.0, low=-0.02, high=0.02,
                earlier=(earlier,), **of,
            )
        )  # fmt: skip
    visit = visiting(served, width=390)
    shown = visit.open("rollout", waits=".route").locator(".route").first.inner_text()
    for figure in ("rolled back", "62%", "0.0 [−2.0, 2.0]", "1.0 [−1.2, 3.0]", "50%"):
        assert figure in shown, shown
    visit.clean()


def test_a_rollback_by_two_clicks_and_a_reason(visit, project):
    page = visit.open("rollout", waits=".route")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why").fill("complaints")
    page.locator("dialog").get_by_role("button", name="Roll back").click()
    page.wait_for_selector(".pill.bad")
    assert "Why: complaints" in page.locator(".route").inner_text()
    assert page.get_by_role("button", name="Roll back").count() == 0
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "rolled_back"
    page.get_by_text("History").click()
    assert "ada (console)" in page.locator("details[open]").inner_text()
    visit.clean()


def test_without_a_gateway_each_endpoint_stands_there_and_how_to_start_one(visit):
    page = visit.open("serving", waits="tbody tr")
    shown = page.locator("#screen").inner_text()
    assert "freehold up" in shown and "gateway is down" in shown
    assert page.locator("tbody tr", has_text="incumbent").count() == 1
    visit.clean()


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_set_stands_first_with_its_source(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("settings", waits=".panel table")
    first = page.locator("#screen .panel").first.inner_text()
    assert "[incumbent] model" in first and "gpt-4o" in first and "freehold.toml" in first
    assert "FREEHOLD_PORT" in page.locator("#screen .panel").nth(1).inner_text()
    visit.clean()


def test_both_answers_stand_next_to_each_other(visit, project):
    with open_store(project.store_url) as store:
        copy: Trace = next(one for one in store.traces(complete_only=False) if one.parent_id)
    page = visit.open(f"trace?id={copy.parent_id}", waits="[data-arm]")
    assert page.locator("[data-arm]").count() == 2
    tops = [page.locator("[data-arm]").nth(n).bounding_box()["y"] for n in (0, 1)]
    assert tops[0] == tops[1], "side by side where there is room"
    assert "freehold traces show" in page.locator("#screen").inner_text()
    visit.clean()


def test_the_lines_of_a_right_answer_are_kept(visit, project):
    page = visit.open("trace?id=trace-00001", waits="[data-key=feedback]")
    page.get_by_role("button", name="Say what is right").click()
    page.get_by_label("The right answer").fill("first line\n\nthird line")
    page.locator("dialog button[type=submit]").click()
    page.wait_for_selector("[data-key=feedback] pre")
    with open_store(project.store_url) as store:
        assert store.get_trace("trace-00001").gold == "first line\n\nthird line"
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
    rows = "[...document.querySelectorAll('.cards tbody tr')]"
    until(page, f"{rows}.every(row => row.textContent.includes('candidate, mirrored'))")
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
