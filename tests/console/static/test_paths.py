"""The ways of a person who has never seen the console: from the overview, within three clicks, to why the candidate was
not taken, the ten worst items, what it costs, and the way back."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.console.conftest import serving_console
from tests.console.states import mirroring
from tests.console.waiting import until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store

pytestmark = pytest.mark.browser
CLICKS_MAX = 3


class Walk:
    """Clicks, counted, on a page that begins at the overview."""

    def __init__(self, visit):
        self.visit, self.page = visit, visit.open(waits=".next")
        self.clicks = 0

    def click(self, locator):
        self.clicks += 1
        locator.click()

    def arrived(self, selector):
        self.page.wait_for_selector(selector)
        assert self.clicks <= CLICKS_MAX
        self.visit.clean()
        return self.page.locator(selector).first.inner_text()


def filled(project):
    evidence.with_proof(project)
    with open_store(project.store_url) as store:
        mirroring(store)


@pytest.fixture
def walk(tmp_path, visiting):
    project = project_of(tmp_path, evidence.TOML)
    with ThreadPoolExecutor(1) as aside:
        aside.submit(filled, project).result()
    with serving_console(project) as address:
        yield Walk(visiting(address))


def test_why_the_candidate_was_not_taken(walk):
    walk.click(walk.page.locator(".tile", has_text="verdict").get_by_role("link"))
    shown = walk.arrived("[data-key=ways]")
    assert "freehold" in shown, "what would change it, with the command"
    assert walk.page.locator(".tile b").first.inner_text() == "hold"


def test_the_ten_worst_items(walk):
    walk.click(walk.page.locator("#screens").get_by_role("link", name="Proof"))
    walk.arrived(".items .item")
    assert walk.page.locator(".items .item").count() == 10


def test_what_it_costs(walk):
    walk.click(walk.page.locator(".tile", has_text="saved").get_by_role("link"))
    until(walk.page, "location.hash.startsWith('#/cost')")
    assert walk.arrived("#screen > *:not([aria-busy])")


def test_how_to_roll_back(walk):
    walk.click(walk.page.get_by_role("button", name="Roll back"))
    walk.click(walk.page.locator("dialog").get_by_role("button", name="Roll back"))
    walk.arrived("section .pill.bad")
