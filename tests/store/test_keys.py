"""A store has an identity, and counts changes of keys."""

from datetime import UTC, datetime

from freehold.store import open_store
from freehold.store.keys import forget_keys, stored_keys
from freehold.types.route import ApiKey


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
