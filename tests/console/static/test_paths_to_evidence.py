"""From the overview, within three clicks: why the candidate was rejected, the ten worst items, what it costs."""

import pytest
from tests.console.conftest import serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(visiting, tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_proof(project)
    with serving_console(project) as address:
        yield visiting(address)


def clicked(page, *names):
    """Click links by what they are called; each counts."""
    for name in names:
        page.locator("#navigation, main").get_by_role("link", name=name, exact=True).first.click()
    return len(names)


def test_why_and_the_ten_worst_items_are_one_click_away(visit):
    page = visit.open("overview")
    assert clicked(page, "Proof") <= 3
    page.wait_for_selector(".items")
    assert "worse by more than the margin" in page.locator("[data-key=ways] .reasons").inner_text()
    assert page.locator(".item").count() == 10
    scores = page.locator(".item del").count(), page.locator(".item ins").count()
    assert scores == (10, 10)
    visit.clean()


def test_the_worst_slice_and_its_items_are_two_clicks_away(visit):
    page = visit.open("overview")
    clicked(page, "Proof")
    page.wait_for_selector(".items")
    assert 1 + clicked(page, "language=de") <= 3
    page.wait_for_selector("select[name=slice] option[value='language=de']:checked", state="attached")
    assert page.locator(".item").count() == 10
    visit.clean()


def test_what_it_costs_is_one_click_away(visit):
    page = visit.open("overview")
    assert clicked(page, "Cost") <= 3
    page.wait_for_selector("[data-key=mixture]")
    assert "$1.27" in page.locator("[data-key=mixture]").inner_text()
    visit.clean()
