"""Whatever strangers wrote stands inert on every screen: in names, labels, questions, answers, notes and reasons."""

import json

import pytest
from tests.console.conftest import serving_console, trace, until
from tests.workflows.data.building import project_of
from tests.workflows.data.building import trace as logged
from tests.workflows.tell.views import evidence

from freehold.console.guard import Visitor
from freehold.console.screens import SCREENS
from freehold.store import audit, open_store
from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.workflows.data import dataset as datasets
from freehold.workflows.project import now
from freehold.workflows.shift.rollout import rollout

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
NAME = f"{MARKUP}[click](javascript:alert(1)) \x1b]0;owned\x07\x1b[31m\u202eevil\u2066 z" + "\u0301" * 40
TEXT = NAME + "\u0302" * 100_000
# What JSON escapes, TOML does.
NAME_IN_TOML = json.dumps(NAME)
PLACES = ("overview", "traffic?window_s=0", "trace?id=hostile", "data", "proof", "label", "rollout", "cost",
          "license", "training", "serving", "keys", "audit", "settings")  # fmt: skip


def requests(at):
    """One request whose every text is hostile."""
    answer = {"choices": [{"message": {"role": "assistant", "content": TEXT}, "finish_reason": NAME}]}
    asked = {
        "model": NAME,
        "messages": [{"role": NAME, "content": TEXT}],
        "tools": [{"name": NAME}],
        NAME: TEXT,
    }
    names = dict.fromkeys(
        (
            "model",
            "user",
            "api_key",
            "endpoint",
            "conversation_id",
            "upstream_id",
            "assignment_key",
            "fallback",
        ),
        NAME,
    )
    return trace(
        1, at, id="hostile", route=NAME, request=asked, response=answer, metadata={NAME: TEXT}, **names
    )


@pytest.fixture
def project(tmp_path):
    """A project whose labels, names and notes are hostile as well."""
    project = project_of(
        tmp_path, evidence.TOML.replace('labels = ["refund", ', f"labels = [{NAME_IN_TOML}, ")
    )
    with open_store(project.store_url) as store:
        store.add_traces(
            logged(
                number,
                f"{number} {TEXT if number % 50 == 0 else 'plain'} {number * 7919}",
                gold=NAME,
                incumbent=NAME,
            )
            for number in range(100)
        )
    datasets.build(project)
    evidence.with_proof(project, count=8)
    route = Route(
        name=NAME, model=NAME, incumbent=Target(endpoint=NAME), candidate=Target(endpoint=NAME, model=NAME)
    )
    terms = RolloutTerms(
        task=Task(name="support", scorer="exact", margin=0.1),
        stages=(0.1, 0.5),
        shadow_share=0.5,
        max_p95_ms=None,
    )
    with open_store(project.store_url) as store:
        rollout.start(store, route, terms, who=NAME, at=now())
        rollout.rollback(store, NAME, who=NAME, at=now(), why=TEXT[:500])
        audit.note(store.database, "export", NAME, who=NAME, why=TEXT[:500])
        store.add_traces([requests(now())])
    return project


def test_names_labels_and_texts_of_strangers_do_nothing_on_any_screen(visiting, project):
    with serving_console(project, Visitor(NAME, "admin", content=True)) as address:
        visit = visiting(address, width=390)
        visit.page.set_default_timeout(60_000)
        shown, wrong = {}, {}
        for place in PLACES:
            page = visit.open(place)
            title = SCREENS[place.partition("?")[0]].title
            until(page, "title => document.title.startsWith(title)", arg=title)
            page.evaluate(
                "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
            )
            shown[place] = told(page)
            if found := faults(visit):
                wrong[place] = found
        assert wrong == {}
    hidden = {place for place, there in shown.items() if not there}
    assert hidden <= {"cost", "license", "training", "serving", "keys", "settings"}, (
        "or nothing was tested there"
    )


def told(page):
    """Whether a stranger's text is on the screen, which draws some of it a moment after the rest."""
    try:
        until(page, "() => document.querySelector('#screen').innerText.includes('<img src=x')", timeout_s=3)
    except AssertionError:
        return False
    return True


def faults(visit):
    """What became more than text, or hides in it, or breaks the page."""
    page, found = visit.page, []
    words = page.locator("body").inner_text()
    found += [f"{one!r} is there" for one in ("\x1b", "\x07", "\u202e", "\u2066") if one in words]
    found += ["a tower of marks" for one in ("\u0301" * 9, "\u0302" * 9) if one in words]
    for made in ("#screen img, #screen script, #screens img", "a[href^='javascript' i]"):
        found += [f"{made} was made"] * page.locator(made).count()
    try:
        visit.clean()
    except AssertionError as error:
        found.append(str(error)[:600])
    return found
