"""Routes, rollouts and keys in a store."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.store.examples import NOON

from freehold.errors import RevisionError, StoreError
from freehold.store import open_store, rollouts
from freehold.store.rollouts import WindowRow
from freehold.store.routes import forget_keys, stored_keys
from freehold.types.route import ApiKey, Route, Target


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


def row(unit, seq, *, kind="arm", closed=False, body=b"{}"):
    return WindowRow(kind, unit, seq, closed, body)


def learn(store, version, windows=(), state=b"s"):
    return rollouts.learn(store.database, "r", known_version=version, state=state, windows=windows)


def test_a_look_that_came_second_writes_nothing(store):
    assert rollouts.state_of(store.database, "r") == (0, None)
    assert learn(store, 0, [row("ada", 1)], b"first")
    assert not learn(store, 0, [row("bob", 2)], b"second")
    assert rollouts.state_of(store.database, "r") == (1, b"first")
    assert [one.unit for one in rollouts.open_windows(store.database, "r")] == ["ada"]
    assert learn(store, 1, [row("bob", 2)]) and not learn(store, 1)


def test_windows_keep_their_place_when_written_anew(store):
    learn(store, 0, [row("bob", 2), row("ada", 1), row("ada", 3, kind="pair")])
    learn(store, 1, [row("ada", 9, closed=True, body=b"done")])
    found = rollouts.windows_of(store.database, "r", ["ada", "nobody"])
    assert [(one.seq, one.kind, one.closed) for one in found] == [(1, "arm", True), (3, "pair", False)]
    assert [one.unit for one in rollouts.open_windows(store.database, "r")] == ["bob", "ada"]
    assert rollouts.closed_windows(store.database, "r", "arm") == [b"done"]
    assert rollouts.windows_of(store.database, "other", ["ada"]) == []


def test_many_units_are_asked_for_in_pieces(store):
    learn(store, 0, [row(f"u{n}", n) for n in range(900)])
    assert len(rollouts.windows_of(store.database, "r", [f"u{n}" for n in range(900)])) == 900


def test_changes_of_keys_are_counted_and_the_identity_stays(store, url):
    first = stored_keys(store.database)
    assert len(first.store_id) == 32 and (first.changes, first.keys, first.forgotten) == (0, (), False)
    store.put(ApiKey(name="a", hash="1"))
    store.put(ApiKey(name="a", hash="2"))
    assert not store.delete(ApiKey, "unknown")
    assert store.delete(ApiKey, "a")
    with open_store(url) as again:
        found = stored_keys(again.database)
    assert (found.store_id, found.changes, found.forgotten) == (first.store_id, 3, False)


def test_forgetting_all_keys_is_told_from_losing_them(store):
    for name in "ab":
        store.put(ApiKey(name=name, hash=name))
    assert forget_keys(store.database, who="ada", at=datetime.now(UTC)) == 2
    found = stored_keys(store.database)
    assert (found.changes, found.keys, found.forgotten) == (3, (), True)
    store.put(ApiKey(name="c", hash="c"))
    assert not stored_keys(store.database).forgotten
    store.delete(ApiKey, "c")
    assert not stored_keys(store.database).forgotten, "an old word does not count for what came later"
