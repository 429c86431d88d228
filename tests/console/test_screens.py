"""Every screen of the table is a view that looks, a record that its script can draw, and a script with a test."""

import contextlib
import json
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from freehold.console.screens import SCREENS, query_of
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
