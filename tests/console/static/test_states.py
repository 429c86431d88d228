"""Every screen in every state of a project: drawn, without a complaint, a foreign request or an accessibility fault, in
turn on a desk, light, and on a telephone, dark."""

from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import pytest
from tests.console.conftest import serving_console
from tests.console.states import STATES
from tests.console.waiting import until

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
