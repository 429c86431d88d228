"""The audit record a page at a time, newest first, narrowed in the database."""

import pytest
from tests.workflows.shift.shifting import START

from freehold.store import audit as record
from freehold.store import open_store
from freehold.workflows.tell.views.audit import AuditQuery, audit


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        for number in range(7):
            action = "key.add" if number % 2 else "keys.accept"
            record.note(store.database, action, f"s{number}", who="ada" if number < 4 else "bo", at=START)
        yield store


def numbers(store, **query):
    return [entry.number for entry in audit(None, store, AuditQuery(**query), at=START).entries]


def test_pages_go_from_the_newest_to_the_first(store):
    first = audit(None, store, AuditQuery(most=3), at=START)
    assert [entry.number for entry in first.entries] == [7, 6, 5] and first.next == 5
    second = audit(None, store, AuditQuery(most=3, after=first.next), at=START)
    last = audit(None, store, AuditQuery(most=3, after=second.next), at=START)
    assert [entry.number for entry in last.entries] == [1] and last.next is None


def test_an_action_may_be_the_part_before_the_dot(store):
    assert numbers(store, action="key") == [6, 4, 2]
    assert numbers(store, action="keys.accept", who="bo") == [7, 5]
    assert numbers(store, subject="s3") == [4] and numbers(store, action="%") == []
