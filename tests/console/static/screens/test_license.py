"""The screen Licence in a real browser: ruling, duties to tick, files; a tick is kept by the store."""

import pytest
from tests.console.conftest import serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

pytestmark = pytest.mark.browser
TOML = evidence.TOML + '[use]\nmode = "hosted_service"\nserves_third_parties = true\n'


def test_duties_are_a_checklist_with_the_files_that_meet_them(visiting, tmp_path):
    with serving_console(project_of(tmp_path, TOML)) as address:
        visit = visiting(address)
        page = visit.open("license?model=meta-llama/Llama-3.1-8B-Instruct", waits=".checklist")
        page.locator(".checklist input").first.click()
        page.wait_for_selector(".checklist >> text=Done, says ada (console)")
        assert page.locator("[data-key=duties] h2").inner_text().startswith("Duties: 1 of ")
        page.get_by_text("CHECKLIST.md").click()
        shown = page.locator("details[open] pre").inner_text()
        assert "meta-llama" in shown and shown.count("- [x]") == 1
        page.evaluate("location.hash = '#/cost'")
        page.wait_for_selector("h1:has-text('Cost')")
        visit.open("license?model=meta-llama/Llama-3.1-8B-Instruct", waits=".checklist")
        assert page.locator(".checklist input").first.is_checked()
        assert "Built with Llama" in page.locator("#screen").inner_text()
        page.locator(".checklist input").first.click()
        page.wait_for_selector("[data-key=duties] h2:has-text('Duties: 0 of')")
        assert not page.locator(".checklist input").first.is_checked()
        visit.clean()
