"""Teams: keys that share limits."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.errors import UsageError
from freehold.gateway.limits import key_changes
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.limits.team_changes import find_team, move_keys, set_team, teams_listed
from freehold.store import audit, open_store, usage
from freehold.store.keys import stored_keys
from freehold.types.route import Limits
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
