"""Every screen of the table is a view that looks, a record that its script can draw, and a script with a test."""

import contextlib
import json
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import msgspec
import pytest
from tests.console.conftest import Caller, serving_console

from freehold.console.guard import Visitor
from freehold.console.screens import ACTIONS, SCREENS, query_of
from freehold.errors import FreeholdError, UsageError
from freehold.store import audit, open_store

SCRIPTS = resources.files("freehold.console") / "static" / "screens"


def entries(store):
    return [entry.number for entry in audit.entries(store.database)]


@pytest.mark.parametrize("name", SCREENS)
def test_a_view_makes_a_record_and_changes_nothing(project, name):
    screen = SCREENS[name]
    with open_store(project.store_url) as store:
        before = store.routes(), [store.route_history(route.name) for route in store.routes()], entries(store)
        record = screen.view(project, store, query_of(screen, {}), at=datetime.now(UTC))
        assert isinstance(json.loads(msgspec.json.encode(record)), dict)
        after = store.routes(), [store.route_history(route.name) for route in store.routes()], entries(store)
        assert after == before


@pytest.mark.parametrize("name", SCREENS)
def test_a_view_of_an_empty_project_is_a_record_too(empty_project, name):
    screen = SCREENS[name]
    with open_store(empty_project.store_url) as store:
        assert screen.view(empty_project, store, query_of(screen, {}), at=datetime.now(UTC)) is not None


def test_each_screen_has_a_script_and_each_script_a_test():
    scripts = {file.name.removesuffix(".js") for file in SCRIPTS.iterdir()}
    assert scripts == set(SCREENS)
    tests = "".join(path.read_text() for path in (Path(__file__).parent / "static").rglob("*.py"))
    assert {name for name in scripts if not re.search(rf'\.open\(f?"{name}\b', tests)} <= {
        "overview",
        "label",
    }, "each visit begins with the one, and a link of proof leads to the other"
    for name in scripts:
        assert "export function draw(" in (SCRIPTS / f"{name}.js").read_text()


@pytest.mark.parametrize("name", SCREENS)
def test_a_parameter_that_a_screen_does_not_have_is_named(name):
    with pytest.raises(UsageError, match="surprise"):
        query_of(SCREENS[name], {"surprise": "x"})


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("odd", ["nan", "inf", "1e308", "-1", "9223372036854775808", "1" + 30 * "0"])
def test_a_number_that_none_can_be_is_refused_or_finds_nothing(project, name, odd):
    screen = SCREENS[name]
    with open_store(project.store_url) as store:
        for field in msgspec.structs.fields(screen.query):
            with contextlib.suppress(FreeholdError):
                screen.view(project, store, query_of(screen, {field.name: odd}), at=datetime.now(UTC))


def pressed(served, action, body):
    """The status of a button that is pressed, and what the answer says."""
    reply, said = Caller(served)("POST", f"/api/actions/{action}", body=json.dumps(body))
    return reply.status, json.loads(said)


def buttons_of(visitor):
    return {name for name, action in ACTIONS.items() if visitor.may(*action.needs)}


def longest_text(annotation):
    """Characters of the longest text that a field takes; 0 for other fields."""
    found = msgspec.inspect.type_info(annotation)
    texts = [one for one in getattr(found, "types", (found,)) if isinstance(one, msgspec.inspect.StrType)]
    return texts[0].max_length if texts else 0


@pytest.mark.parametrize("name", ACTIONS)
def test_what_a_button_takes_is_read(name):
    action = ACTIONS[name]
    lengths = [longest_text(field.type) for field in msgspec.structs.fields(action.body)]
    assert 4 * sum(lengths) + 1000 < action.body_bytes, "a letter takes up to four bytes"


def test_a_long_right_answer_comes_through_and_a_longer_one_does_not(project, served):
    status, _ = pressed(served, "trace.feedback", {"id": "trace-00001", "gold": "\u00e4" * 10_000})
    assert status == 200
    with open_store(project.store_url) as store:
        assert store.get_trace("trace-00001").gold == "\u00e4" * 10_000
    assert pressed(served, "trace.feedback", {"id": "trace-00001", "gold": "x" * 10_001})[0] == 400
    assert pressed(served, "trace.feedback", {"id": "trace-00001", "gold": "x" * 100_000})[0] == 413


def test_who_only_looks_has_no_button_and_who_may_not_read_corrects_nothing():
    assert buttons_of(Visitor("eye", "read", content=True)) == set()
    assert buttons_of(Visitor("eye", "read")) == set()
    seen = buttons_of(Visitor("hand", "operate"))
    assert {"rollout.rollback", "rollout.advance"} <= seen
    assert {name.partition(".")[0] for name in seen} == {"rollout", "license"}
    assert {"trace.feedback", "label.pair"} <= buttons_of(Visitor("hand", "operate", content=True))
    assert buttons_of(Visitor("boss", "admin")) == set(ACTIONS)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("trace.feedback", {"id": "trace-00001", "thumb": "down", "gold": "another answer"}),
        ("label.pair", {"evaluation": "e", "pair": "s", "choice": "left"}),
    ],
)
def test_a_console_that_only_looks_changes_no_evidence(project, action, body):
    with open_store(project.store_url) as store:
        before = len(list(audit.entries(store.database))), store.get_trace("trace-00001")
    with serving_console(project, Visitor("eye (console)", "read", content=True)) as served:
        status, said = pressed(served, action, body)
    assert status == 403 and "change nothing" in said["error"]
    with open_store(project.store_url) as store:
        assert (len(list(audit.entries(store.database))), store.get_trace("trace-00001")) == before
