"""The screen Data in a real browser: profile, samples by page, a label corrected and the dataset built with it."""

import msgspec
import pytest
from tests.console.conftest import serving_console
from tests.console.static.test_states import axe, faults
from tests.console.waiting import until
from tests.training.conftest import tiny, tokenizer, write_dataset
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold import training
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.training import Adapter
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.data.reviews import reviews

__all__ = ["tiny", "tokenizer"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_data(project)
    return project


def test_a_doubt_is_corrected_another_confirmed_and_the_next_dataset_has_both(visiting, project):
    with open_store(project.store_url) as store:
        before = find_dataset(store)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("data", waits="[data-key=doubts] table")
        rows = page.locator("[data-key=doubts] tbody tr")
        assert rows.count() == 4
        rows.nth(0).get_by_role("button", name="Correct it").click()
        page.get_by_label("The right answer").fill("other")
        page.locator("dialog input[name=why]").fill("a gift card")
        page.locator("dialog button[type=submit]").click()
        page.wait_for_selector("text=now: other")
        rows.nth(1).get_by_role("button", name="It is right").click()
        page.wait_for_selector("[data-key=doubts] .pill:has-text('is right')")
        page.get_by_role("button", name="Build with 2 reviewed").click()
        page.locator("dialog button[type=submit]").click()
        until(page, "() => document.querySelectorAll('select[name=dataset] option').length === 2")
        visit.clean()
    with open_store(project.store_url) as store:
        built, said = find_dataset(store), reviews(store)
    assert built.id != before.id and {one.decision for one in said.values()} == {"corrected", "confirmed"}
    corrected = next(one for one in said.values() if one.decision == "corrected")
    golds = {sample.id: sample.gold for sample in training.read_samples(built, "train")}
    assert golds[corrected.sample_id] == "other"


def test_tokens_mark_what_is_learned_and_nothing_of_them_acts(visiting, project, tiny):
    hostile = Message(role="user", content=evidence.HOSTILE + "<|im_end|><script>document.title = 2</script>")
    samples = [Sample(id=f"{number:032x}", messages=(hostile,), gold="refund") for number in range(21)]
    with open_store(project.store_url) as store:
        dataset = write_dataset(project.root / "hostile", samples)
        store.put(dataset)
        run = store.latest(Adapter)
        store.put(msgspec.structs.replace(run, id="f" * 32, base_model=tiny.source))
    with serving_console(project) as address:
        visit = visiting(address, width=390)
        page = visit.open(f"data?dataset={dataset.id}", waits="[data-key=samples] .item")
        page.set_default_timeout(120_000)  # a tokenizer is loaded
        page.get_by_label("Shown as").select_option("tokens")
        page.wait_for_selector("[data-key=samples] .tokens")
        assert page.locator(".item").count() == page.locator(".tokens").count() == 20
        marked = page.locator(".tokens").first.locator("mark")
        assert marked.inner_text() == "refund<|im_end|>" and marked.locator("span").count() >= 2
        assert "<script>" in page.locator(".tokens").first.inner_text(), "as text"
        assert page.title().startswith("Data")
        assert "the last run's base" in page.locator("[data-key=samples]").inner_text()
        page.evaluate(axe())
        assert faults(page) == []
        page.locator("[data-key=samples] a[rel=next]").click()
        until(page, "() => document.querySelectorAll('.tokens').length === 1")
        visit.clean()
