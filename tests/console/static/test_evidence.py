"""The screens of evidence with much in them: no accessibility fault, complaint or foreign request, on a desk and a
telephone, light and dark; and each says its command."""

import pytest
from tests.console.conftest import serving_console
from tests.console.static.test_states import axe, faults
from tests.console.waiting import until
from tests.workflows.tell.views import evidence

from freehold.console.screens import SCREENS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PLACES = {
    "data": ("data", ".item"),
    "models": ("models?machine=T4&find=qwen3&model=Qwen/Qwen3-8B", "[data-key=fit]"),
    "license": ("license?model=meta-llama/Llama-3.1-8B-Instruct", "[data-key=files]"),
    "training": ("training?run=helpdesk-1", "[data-key=loss] svg"),
    "proof": ("proof", ".item"),
    "label": ("label", ".blind"),
    "cost": ("cost", "[data-key=candidates]"),
}


def test_every_screen_can_be_used(visiting, tmp_path):
    project, _ = evidence.whole(tmp_path)
    script = axe()
    wrong = {}
    with serving_console(project) as address:
        for width, dark in ((1280, False), (390, True)):
            visit = visiting(address, width=width, dark=dark)
            visit.page.set_default_timeout(120_000)  # ranking the catalog takes a second of the processor
            for name, (place, waits) in PLACES.items():
                page = visit.open(place, waits=waits)
                until(page, "title => document.title.startsWith(title)", arg=SCREENS[name].title)
                page.evaluate(
                    "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
                )
                page.evaluate(script)
                if found := faults(page):
                    wrong[name, width] = found
                assert page.locator("main .command code").first.inner_text().startswith("freehold ")
                visit.clean()
    assert wrong == {}
