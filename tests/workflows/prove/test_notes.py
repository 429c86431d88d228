"""Notes to items: kept, audited without their words, refused where they are about nothing."""

from datetime import UTC, datetime

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.prove.test_results import evaluation

from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.types.evaluated import NOTE_CHARACTERS
from freehold.workflows.prove.notes import add_note, notes_of

AT = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    with open_store(project_of(tmp_path).store_url) as store:
        store.put(evaluation("e1", "d"))
        yield store


def test_notes_of_an_item_stay_in_order_and_the_audit_record_says_who(store):
    first = add_note(store, "e1", "s1", "  ask the shop ", who="ada", at=AT)
    second = add_note(store, "e1", "s1", "they say refund", who="bob", at=AT)
    assert notes_of(store, "e1") == {"s1": (first, second)} and first.text == "ask the shop"
    assert notes_of(store, "e2") == {}
    entries = [one for one in audit.entries(store.database) if one.action == "note.add"]
    assert [(one.who, one.detail) for one in entries] == [
        ("ada", {"evaluation": "e1", "sample": "s1"}),
        ("bob", {"evaluation": "e1", "sample": "s1"}),
    ]
    assert "refund" not in str(entries)


@pytest.mark.parametrize(
    ("evaluation_id", "text", "message"),
    [
        ("e1", " \n", "empty"),
        ("e1", "x" * (NOTE_CHARACTERS + 1), "characters"),
        ("e9", "hello", "no evaluation"),
    ],
)
def test_what_is_refused(store, evaluation_id, text, message):
    with pytest.raises(UsageError, match=message):
        add_note(store, evaluation_id, "s1", text, who="ada", at=AT)
    assert notes_of(store, evaluation_id) == {}
