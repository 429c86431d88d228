"""Whether keys are required is kept outside the store; another store or an older one is refused."""

from datetime import UTC, datetime

import pytest

from freehold.errors import KeysUnavailableError
from freehold.gateway.limits import key_requirement as requirement

AT = datetime(2026, 3, 1, tzinfo=UTC)


def look(path, **changes):
    values = {"store_id": "a", "changes": 3, "has_keys": True, "forgotten": False, **changes}
    return requirement.reconcile(path, at=AT, **values)


def test_a_gateway_that_sees_keys_keeps_that_they_are_required(tmp_path):
    path = tmp_path / "state" / "keys.json"
    assert not look(path, has_keys=False, changes=0) and not path.exists()
    assert look(path)
    kept = requirement.read(path)
    assert (kept.store_id, kept.changes, kept.since) == ("a", 3, AT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert look(path, changes=5) and requirement.read(path).changes == 5
    assert look(path, changes=5, has_keys=False), "a store that lost its keys opens nothing"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"store_id": "b"}, "not the store that held them"),
        ({"store_id": ""}, "not the store that held them"),
        ({"changes": 2}, "older copy"),
        ({"changes": 2, "has_keys": False, "forgotten": True}, "older copy"),
    ],
)
def test_another_or_an_older_store_is_refused(tmp_path, found, message):
    path = tmp_path / "keys.json"
    look(path)
    with pytest.raises(KeysUnavailableError, match=message) as error:
        look(path, **found)
    assert "freehold keys accept" in error.value.hint


def test_forgetting_every_key_on_purpose_opens_the_gateway(tmp_path):
    path = tmp_path / "keys.json"
    look(path)
    assert look(path, changes=3, has_keys=False, forgotten=True), "not news: accepted after it"
    assert not look(path, changes=4, has_keys=False, forgotten=True) and not path.exists()


def test_a_file_that_cannot_be_read_opens_nothing(tmp_path):
    path = tmp_path / "keys.json"
    for content in (b"", b"{}", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(KeysUnavailableError, match="cannot be read"):
            look(path)


def test_a_store_that_is_gone_is_not_made_newly(tmp_path):
    path, store = tmp_path / "keys.json", tmp_path / "store"
    requirement.check_file(path, store)
    look(path)
    with pytest.raises(KeysUnavailableError, match="is gone"):
        requirement.check_file(path, store)
    store.touch()
    with pytest.raises(KeysUnavailableError, match="is empty"):
        requirement.check_file(path, store)
    store.write_bytes(b"x")
    requirement.check_file(path, store)
    requirement.forget(path)
    assert requirement.read(path) is None and requirement.read(None) is None
