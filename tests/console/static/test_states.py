"""Every screen in every state of a project: drawn, without a complaint, a foreign request or an accessibility fault, in
turn on a desk, light, and on a telephone, dark."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
from tests.console.conftest import serving_console, trace, until
from tests.console.states import STATES, mirroring
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.console.guard import Visitor
from freehold.console.screens import SCREENS
from freehold.store import open_store
from freehold.types.trace import Trace
from freehold.workflows.project import open_project

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


CONFIG = """
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:1"
price = { prompt = 2.5, completion = 10 }
"""
SERIOUS = ("serious", "critical")


def axe():
    pytest.importorskip("axe_playwright_python")
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def faults(page):
    """What axe-core finds that keeps people out."""
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]


def filled(project, fill):
    with open_store(project.store_url) as store:
        fill(store)


@pytest.fixture
def state_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(state):
        if state != "fresh":
            (tmp_path / "freehold.toml").write_text(CONFIG)
        project = open_project()
        if state in STATES:
            # The browser's loop runs in this thread, and scoring pairs begins one of its own.
            with ThreadPoolExecutor(1) as aside:
                aside.submit(filled, project, STATES[state]).result()
        return project

    return make


@pytest.mark.parametrize(("number", "state"), list(enumerate(["fresh", *STATES])))
def test_every_screen_is_drawn_and_can_be_used(visiting, state_project, number, state):
    project = state_project(state)
    with open_store(project.store_url) as store:
        trace = next(iter(store.latest_traces(1, complete_only=False)), None)
    script = axe()
    with serving_console(project, Visitor("ada (console)", "admin", content=True)) as address:
        visit = visiting(address, width=390, dark=True) if number % 2 else visiting(address)
        wrong = {}
        for name in SCREENS:
            page = visit.open(
                f"trace?id={trace.id}" if name == "trace" and isinstance(trace, Trace) else name
            )
            until(page, "title => document.title.startsWith(title)", arg=SCREENS[name].title)
            page.evaluate(script)
            if found := faults(page):
                wrong[name] = found
            visit.clean()
        assert wrong == {}


def test_a_store_that_cannot_be_read_is_said_to_be_and_comes_back(visiting, state_project, tmp_path):
    project = state_project("named")
    store = project.state / "freehold.sqlite"
    store.write_bytes(b"not a database " * 1000)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open(waits="#problem .note")
        assert "freehold.sqlite" in page.locator("#problem").inner_text()
        assert page.locator("#screens a").count() > 5, "the navigation is still there"
        store.unlink()
        page.wait_for_selector(".next")
        assert page.locator("#problem .note").count() == 0
        visit.clean(refused=(503,))


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


NOW = datetime.now(UTC)


def said(visit, place, waits):
    """A screen's words, without what moves from one second to the next."""
    page = visit.open(place, waits=waits)
    visit.clean()
    return re.sub(r"\d+(\.\d+)? (s|min)\b", "T", page.locator("#screen").inner_text())


def test_a_browser_with_a_wrong_clock_says_the_same(visiting, tmp_path):
    project, _ = evidence.whole(tmp_path)
    with open_store(project.store_url) as store:
        store.add_traces(
            trace(number, NOW - timedelta(minutes=number), route=None, id=f"clock-{number:04d}")
            for number in range(20)
        )
    places = (
        ("overview", ".next"),
        ("traffic?window_s=3600", "[data-row]"),
        ("training?run=helpdesk-1", "text=Validation answers right"),  # the screen before has tiles, too
    )
    with serving_console(project) as address:
        right, wrong = visiting(address), visiting(address)
        wrong.page.clock.set_system_time(NOW - timedelta(days=4000))
        for place, waits in places:
            assert said(wrong, place, waits) == said(right, place, waits), place


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


def filled_of_keyboard(project):
    evidence.with_data(project)
    evidence.with_proof(project)
    with open_store(project.store_url) as store:
        mirroring(store)


def test_every_control_of_every_screen_is_reached(visiting, tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    with ThreadPoolExecutor(1) as aside:
        aside.submit(filled_of_keyboard, project).result()
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
