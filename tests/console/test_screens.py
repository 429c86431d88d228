"""Every screen of the table is a view that looks and a record the page can draw."""

import json
from datetime import UTC, datetime
from importlib import resources

import msgspec
import pytest

from freehold.console.screens import SCREENS
from freehold.store import open_store


@pytest.mark.parametrize("name", SCREENS)
def test_a_view_makes_a_record_and_changes_nothing(project, name):
    with open_store(project.store_url) as store:
        before = store.routes(), [store.route_history(route.name) for route in store.routes()]
        record = SCREENS[name](project, store, at=datetime.now(UTC), window_s=900)
        assert json.loads(msgspec.json.encode(record))["app"] == project.config.app.name
        assert (store.routes(), [store.route_history(route.name) for route in store.routes()]) == before


@pytest.mark.parametrize("name", SCREENS)
def test_a_script_of_the_page_asks_for_it(name):
    static = resources.files("freehold.console") / "static"
    scripts = [file.read_text() for file in static.iterdir() if file.name.endswith(".js")]
    assert any(f"/api/screens/{name}" in script for script in scripts)
