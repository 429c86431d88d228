"""Changes of keys in the store, by command or over the admin API."""

import concurrent.futures
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.errors import RevisionError, UsageError
from freehold.gateway.limits import key_changes as keys
from freehold.gateway.limits.keys import hash_of
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
