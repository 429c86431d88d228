"""The screen Models in a real browser: what if on another machine, memory part by part, why a model is left out."""

import pytest
from tests.console.conftest import serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

pytestmark = pytest.mark.browser


def test_what_if_on_another_machine(visiting, tmp_path):
    with serving_console(project_of(tmp_path, evidence.TOML)) as address:
        visit = visiting(address)
        visit.page.set_default_timeout(120_000)  # ranking the catalog takes a second of the processor
        page = visit.open("models?machine=2x L4&find=qwen3-32b", waits="[data-key=rows] table")
        assert "L4" in page.locator(".tile b").first.inner_text()
        page.locator("[data-key='row-Qwen/Qwen3-32B'] a").first.click()
        page.wait_for_selector("[data-key=fit] .bar i")
        assert "GiB" in page.locator("[data-key=fit]").inner_text()
        page.get_by_label("What if on").fill("no such card")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_selector("#screen .note.bad")
        assert page.get_by_label("What if on").count() == 1
        visit.clean()
