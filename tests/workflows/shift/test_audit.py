from datetime import UTC, datetime, timedelta

import pytest

from freehold.store import audit as record
from freehold.store import default_url, open_store
from freehold.workflows import project_store

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        ({}, ["a", "a", "r"]),
        ({"action": "key"}, ["a", "a"]),
        ({"action": "key.revoke"}, ["a"]),
        ({"since": AT + timedelta(hours=1)}, ["a", "r"]),
    ],
)
def test_filters(tmp_path, wanted, subjects):
    with open_store(default_url(tmp_path)) as store:
        for hours, (action, subject, who) in enumerate(
            [("key.add", "a", "ada"), ("key.revoke", "a", "ada"), ("route.save", "r", "bob")]
        ):
            record.note(store.database, action, subject, who=who, at=AT + timedelta(hours=hours))
        assert [one.subject for one in project_store.audit_entries(store, **wanted)] == subjects
        assert project_store.audit_check(store).entries == 3
