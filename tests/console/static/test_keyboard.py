"""Without a mouse: Tab comes to every control of every screen, in the order it is seen, and none is a trap."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.console.conftest import serving_console
from tests.console.states import mirroring
from tests.console.waiting import until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.console.guard import Visitor
from freehold.console.screens import SCREENS
from freehold.store import open_store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
TABS_MAX = 700

CONTROLS = """() => {
  const kinds = "a[href], button:enabled, input:enabled, select:enabled, textarea:enabled, summary";
  const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.classList.contains("skip");
  window.controls = [...document.querySelectorAll(kinds)].filter(seen);
  document.activeElement?.blur();
  return window.controls.map(one => one.outerHTML.slice(0, 120));
}"""
FOCUSED = "() => window.controls.indexOf(document.activeElement)"
"""Not by an attribute: a screen that is drawn again takes off what it did not draw."""


def filled(project):
    evidence.with_data(project)
    evidence.with_proof(project)
    with open_store(project.store_url) as store:
        mirroring(store)


def test_every_control_of_every_screen_is_reached(visiting, tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    with ThreadPoolExecutor(1) as aside:
        aside.submit(filled, project).result()
    missed = {}
    with serving_console(project, Visitor("ada (console)", "admin", content=True)) as address:
        visit = visiting(address)
        for name, screen in SCREENS.items():
            page = visit.open(name)
            until(page, "title => document.title.startsWith(title)", arg=screen.title)
            page.wait_for_timeout(300)  # what is drawn again after the first record
            controls = page.evaluate(CONTROLS)
            reached = set()
            for _ in range(TABS_MAX):
                page.keyboard.press("Tab")
                reached.add(page.evaluate(FOCUSED))
                if len(reached - {-1}) == len(controls):
                    break
            if left := [control for at, control in enumerate(controls) if at not in reached]:
                missed[name] = left[:3]
        assert missed == {}
        visit.clean()
