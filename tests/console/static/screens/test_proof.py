"""The screen Proof in a real browser: pictures, slices, items worst first, notes, and nothing in it is markup."""

import msgspec
import pytest
from tests.console.conftest import serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store
from freehold.types.mixture import Mixture
from freehold.types.verdict import Verdict

pytestmark = pytest.mark.browser


@pytest.fixture
def proven(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    return project, evidence.with_proof(project)


@pytest.fixture
def visit(visiting, proven):
    with serving_console(proven[0]) as address:
        yield visiting(address)


def test_the_verdict_the_pictures_and_the_ten_worst_items(visit, proven):
    page = visit.open("proof", waits=".items")
    assert page.locator(".tile b").first.inner_text() == "hold"
    label = page.locator("[data-key=intervals] svg").get_attribute("aria-label")
    assert "org/chosen · as_is" in label and "points" in label
    assert page.locator("[data-key=intervals] rect.noise").count() == 1
    assert page.locator("[data-key^=mixture-] polyline").count() == 2
    assert page.locator(".item").count() == 10
    assert "freehold" in page.locator("[data-key=ways] .command code").first.inner_text()
    visit.clean()


def test_a_smaller_share_of_what_is_proven_can_be_taken(visit):
    page = visit.open("proof", waits=".items")
    said = page.locator("[data-key^=mixture-] div[role=status]").first
    largest = said.inner_text()
    page.get_by_label("Share for quality").fill("3")
    told = said.inner_text()
    assert told != largest and "on what is answered here" in told
    assert "freehold defer plan --share 0." in told
    visit.clean()


def test_a_promotion_with_deferral_shows_the_mixtures_figures_first(visiting, proven):
    project, _ = proven
    with open_store(project.store_url) as store:
        verdict, mixture = store.latest(Verdict), store.latest(Mixture)
        of_mixture = msgspec.structs.replace(verdict, outcome="promote", mixture_id=mixture.id)
        store.put(of_mixture)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("proof", waits=".items")
        tiles = page.locator(".tile").all_inner_texts()
        assert tiles[0].splitlines()[:2] == ["Verdict", "promote"] and "with deferral: " in tiles[0]
        shown = f"{100 * mixture.comparison.difference:+.1f} points".replace("-", "−")
        assert tiles[1].splitlines()[:2] == ["Difference, with deferral", shown]
        assert any(one.startswith("Candidate alone") and "points" in one for one in tiles)
        visit.clean()


def test_keys_walk_the_items_and_fold_what_is_the_same(visit):
    page = visit.open("proof", waits=".item")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.key") == "item-1"
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.dataset.key") == "item-0"
    page.keyboard.press("d")
    assert page.locator(".items.only-changes").count() == 0
    page.keyboard.press("d")
    assert page.locator(".items.only-changes").count() == 1
    visit.clean()
