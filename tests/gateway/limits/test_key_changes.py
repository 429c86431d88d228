"""Changes of keys in the store, by command or over the admin API."""

import concurrent.futures
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.errors import RevisionError, UsageError
from freehold.gateway.limits import key_changes as keys
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.limits.team_changes import move_keys, set_team
from freehold.store import default_url, open_store
from freehold.store.usage import BilledCost, book
from freehold.types.route import ApiKey, Limits

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_name_may_be_used_again_after_revoking(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        first = keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        with pytest.raises(UsageError, match="there is a key named app"):
            keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        keys.revoke(store, "app", at=AT)
        second = keys.add(store, "app", limits=Limits(), who="bob", at=AT)
        kept = store.get(ApiKey, "app")
        assert kept.hash == hash_of(second.secret) != hash_of(first.secret) and kept.made_by == "bob"
        book(store.database, [BilledCost("w", 1, "2026-03-01", ["key:app"], Decimal("1.25"))], at=AT)
        assert keys.listed(store, at=AT)[0].spent_day_usd == Decimal("1.25")


@pytest.mark.parametrize("change", ["limits", "team"])
def test_a_key_that_is_revoked_while_it_is_changed_stays_revoked(tmp_path, monkeypatch, change):
    with open_store(default_url(tmp_path)) as store:
        keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        set_team(store, "search", Limits(), who="ada", at=AT)
        put = store.put_key

        def meanwhile(key, action, **more):
            if action != "key.revoke":
                keys.revoke(store, "app", who="bob", at=AT)
            put(key, action, **more)

        monkeypatch.setattr(store, "put_key", meanwhile)
        with pytest.raises(RevisionError, match="the key app was changed meanwhile"):
            if change == "limits":
                keys.limit(store, "app", Limits(concurrency=1), who="ada", at=AT)
            else:
                move_keys(store, ["app"], "search", who="ada", at=AT)
        assert store.get(ApiKey, "app").revoked_at == AT and store.get(ApiKey, "app").team is None


def test_a_key_that_is_changed_while_it_is_revoked_is_revoked(tmp_path, monkeypatch):
    with open_store(default_url(tmp_path)) as store:
        keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        put, changed = store.put_key, []

        def meanwhile(key, action, **more):
            if not changed:
                changed.append(1)
                keys.limit(store, "app", Limits(concurrency=1), who="ada", at=AT)
            put(key, action, **more)

        monkeypatch.setattr(store, "put_key", meanwhile)
        keys.revoke(store, "app", at=AT)
        kept = store.get(ApiKey, "app")
        assert (kept.revoked_at, kept.limits.concurrency) == (AT, 1)


def test_of_two_that_make_the_same_key_at_once_one_is_refused(tmp_path):
    """The other's secret would be of no use from the start."""
    url = default_url(tmp_path)
    with open_store(url) as store:

        def make(number):
            try:
                return keys.add(store, "app", limits=Limits(), who=f"w{number}", at=AT)
            except (RevisionError, UsageError):
                return None

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = [one for one in pool.map(make, range(8)) if one is not None]
        assert len(made) == 1 and store.get(ApiKey, "app").hash == hash_of(made[0].secret)
