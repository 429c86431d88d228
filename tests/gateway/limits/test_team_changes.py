"""Teams: keys that share limits."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.errors import RevisionError, UsageError
from freehold.gateway.limits import key_changes
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.limits.team_changes import (
    find_team,
    move_keys,
    remove_team,
    rename_team,
    set_team,
    teams_listed,
)
from freehold.store import audit, open_store, usage
from freehold.store.keys import stored_keys
from freehold.types.route import ApiKey, Limits, Team
from freehold.wire.errors import ApiError

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
BUDGET = Limits(usd_per_month=Decimal(5), requests_per_minute=60)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        yield store


def test_a_team_has_keys_limits_and_what_they_spent(store):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    scope = key_changes.KeyScope(team="search")
    made = key_changes.add(store, "app", limits=Limits(), scope=scope, who="ada", at=NOON)
    key_changes.add(store, "other", limits=Limits(concurrency=2), who="ada", at=NOON)
    bill = usage.BilledCost("w", 1, "2026-11-29", ["team:search"], Decimal("0.25"))
    usage.book(store.database, [bill], at=NOON)
    (line,) = teams_listed(store, at=NOON)
    assert (line.keys, line.spent_month_usd, made.team) == (("app",), Decimal("0.25"), "search")
    move_keys(store, ["other"], "search", who="ada", at=NOON)
    move_keys(store, ["app"], None, who="ada", at=NOON)
    (line,) = teams_listed(store, at=NOON)
    assert line.keys == ("other",)
    assert [one.action for one in audit.entries(store.database)][-2:] == ["key.team", "key.team"]


def test_what_is_not_there_moves_nothing(store):
    key_changes.add(store, "app", limits=Limits(), who="ada", at=NOON)
    with pytest.raises(UsageError, match="no team is named"):
        move_keys(store, ["app"], "search", who="ada", at=NOON)
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    with pytest.raises(UsageError, match="no key named b"):
        move_keys(store, ["app", "b"], "search", who="ada", at=NOON)
    assert key_changes.find(store, "app").team is None
    with pytest.raises(UsageError, match="no team is named"):
        find_team(store, "serch")
    with pytest.raises(UsageError):
        set_team(store, "search", Limits(requests_per_minute=-1), who="ada", at=NOON)


def test_a_change_of_a_team_is_a_change_of_keys(store):
    before = stored_keys(store.database).changes
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    found = stored_keys(store.database)
    assert found.changes == before + 1 and found.teams[0].limits == BUDGET
    assert found.keys == () and not found.forgotten, "a team requires nothing: that is for keys"


def test_a_key_counts_against_its_team_and_is_refused_where_that_is_not_known(store):
    team = set_team(store, "search", BUDGET, who="ada", at=NOON)
    scope = key_changes.KeyScope(team="search")
    key_changes.add(store, "app", limits=Limits(concurrency=2), scope=scope, who="ada", at=NOON)
    key = key_changes.find(store, "app")
    assert KeyRing([key], [team]).limits_of(key) == [
        ("key:app", Limits(concurrency=2)),
        ("team:search", BUDGET),
    ]
    with pytest.raises(ApiError) as refused:
        KeyRing([key]).limits_of(key)
    assert (refused.value.status, refused.value.code) == (503, "limits_unknown")


def member(store, name="app", team="search"):
    key_changes.add(store, name, limits=Limits(), scope=key_changes.KeyScope(team=team), who="ada", at=NOON)


def test_a_team_with_another_name_goes_on_with_what_it_used_and_spent(store):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    member(store)
    spent = Decimal("0.25")
    usage.book(store.database, [usage.BilledCost("w", 1, "2026-11-29", ["team:search"], spent)], at=NOON)
    changes = stored_keys(store.database).changes
    rename_team(store, "search", "discovery", who="bob", at=NOON)
    (line,) = teams_listed(store, at=NOON)
    assert (line.name, line.keys, line.limits, line.spent_day_usd) == ("discovery", ("app",), BUDGET, spent)
    found = stored_keys(store.database)
    assert found.changes > changes
    ring = KeyRing(found.keys, found.teams)
    assert ring.limits_of(found.keys[0]) == [("team:search", BUDGET)], "nothing of it is begun again"
    entry = list(audit.entries(store.database))[-1]
    assert (entry.action, entry.subject, entry.who) == ("team.rename", "search", "bob")
    assert entry.detail == {"name": "discovery", "keys": ["app"]}
    rename_team(store, "discovery", "search", who="bob", at=NOON)
    assert find_team(store, "search").account == "team:search"


def test_a_new_team_of_a_name_that_another_is_counted_under_begins_with_nothing(store):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    rename_team(store, "search", "discovery", who="ada", at=NOON)
    new = set_team(store, "search", BUDGET, who="ada", at=NOON)
    assert new.account == "team:search/2" and find_team(store, "discovery").account == "team:search"
    with pytest.raises(UsageError, match="there is a team named search"):
        rename_team(store, "discovery", "search", who="ada", at=NOON)
    assert set_team(store, "search", Limits(), who="ada", at=NOON).account == new.account


def test_a_team_that_is_removed_and_made_again_goes_on_with_what_it_spent(store):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    spent = Decimal("0.25")
    usage.book(store.database, [usage.BilledCost("w", 1, "2026-11-29", ["team:search"], spent)], at=NOON)
    remove_team(store, "search", who="ada", at=NOON)
    assert teams_listed(store, at=NOON) == []
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    assert teams_listed(store, at=NOON)[0].spent_month_usd == spent


def test_a_team_with_keys_is_not_removed_unless_they_are_released(store):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    member(store)
    member(store, "old")
    key_changes.revoke(store, "old", at=NOON)
    with pytest.raises(UsageError, match="would hold no longer: app"):
        remove_team(store, "search", who="ada", at=NOON)
    remove_team(store, "search", release=True, who="ada", at=NOON)
    assert key_changes.find(store, "app").team is None and store.get(Team, "search") is None
    entry = list(audit.entries(store.database))[-1]
    assert (entry.action, entry.subject, entry.detail) == ("team.remove", "search", {"keys": ["app"]})
    assert store.get(ApiKey, "old").revoked_at == NOON


def meanwhile(monkeypatch, store, name, change):
    """`change` happens just before the store's own method of that name."""
    own, done = getattr(store, name), []

    def wrapped(*arguments, **more):
        if not done:
            done.append(1)
            change()
        return own(*arguments, **more)

    monkeypatch.setattr(store, name, wrapped)


def test_no_key_is_left_in_a_team_that_is_removed_meanwhile(store, monkeypatch):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    key_changes.add(store, "app", limits=Limits(), who="ada", at=NOON)
    meanwhile(monkeypatch, store, "put_key", lambda: remove_team(store, "search", who="bob", at=NOON))
    with pytest.raises(RevisionError, match="the team search was removed meanwhile"):
        move_keys(store, ["app"], "search", who="ada", at=NOON)
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    meanwhile(
        monkeypatch, store, "replace_team", lambda: move_keys(store, ["app"], "search", who="b", at=NOON)
    )
    with pytest.raises(RevisionError, match="keys were put into the team search meanwhile: app"):
        remove_team(store, "search", who="ada", at=NOON)
    assert find_team(store, "search") and key_changes.find(store, "app").team == "search"


def test_a_team_that_gets_another_name_while_it_is_changed_is_not_there_twice(store, monkeypatch):
    set_team(store, "search", BUDGET, who="ada", at=NOON)
    meanwhile(
        monkeypatch, store, "put_team", lambda: rename_team(store, "search", "discovery", who="bob", at=NOON)
    )
    with pytest.raises(RevisionError, match="the team search was changed meanwhile"):
        set_team(store, "search", Limits(), who="ada", at=NOON)
    assert [team.name for team in store.records(Team)] == ["discovery"]
    meanwhile(
        monkeypatch, store, "replace_team", lambda: set_team(store, "other", BUDGET, who="bob", at=NOON)
    )
    with pytest.raises(RevisionError, match="another team named other was made meanwhile"):
        rename_team(store, "discovery", "other", who="ada", at=NOON)
