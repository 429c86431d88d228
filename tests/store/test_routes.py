from datetime import timedelta

import msgspec
import pytest
from tests.store.examples import NOON

from freehold.errors import RevisionError, StoreError
from freehold.types.route import Route, Target


def test_a_route_has_a_history_and_every_change_moves_the_revision(store):
    assert store.routes() == [] and store.routes_revision() == 0
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"))
    saved = store.save_route(route, who="ada", at=NOON, why="set up")
    shadowed = msgspec.structs.replace(saved, state="shadow")
    store.save_route(shadowed, who="bo", at=NOON + timedelta(hours=1), verdict_id="v1")
    assert [found.state for found in store.routes()] == ["shadow"]
    assert store.routes_revision() == 2
    assert store.delete_route("support", who="ada", at=NOON + timedelta(hours=2), why="moved")
    assert not store.delete_route("support", who="ada", at=NOON)
    assert store.routes() == [] and store.routes_revision() == 3
    history = store.route_history("support")
    assert [(change.who, change.why, change.verdict_id, change.revision) for change in history] == [
        ("ada", "set up", None, 1),
        ("bo", "", "v1", 2),
        ("ada", "moved", None, 3),
    ]
    assert history[1].route is not None and history[1].route.state == "shadow" and history[2].route is None


def test_of_two_changes_made_from_one_reading_the_second_is_refused(store):
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"))
    saved = store.save_route(route, who="ada", at=NOON, expected_revision=0)
    store.save_route(saved, who="ada", at=NOON, expected_revision=saved.revision)
    with pytest.raises(RevisionError, match="it was changed meanwhile"):
        store.save_route(saved, who="bo", at=NOON, expected_revision=saved.revision)
    assert len(store.route_history("support")) == 2


def test_a_route_that_is_none_is_an_error_whatever_its_rule(store):
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"), state="odd")
    store.save_route(route, who="ada", at=NOON)
    with pytest.raises(StoreError, match="not what this version of freehold reads"):
        store.routes()
