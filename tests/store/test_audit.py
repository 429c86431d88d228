"""The audit record only grows, and a cut is noticed."""

from datetime import UTC, datetime

import pytest
import sqlalchemy

from freehold.errors import StorageError
from freehold.store import audit
from freehold.types.audit import change_source
from freehold.types.route import Route, Target

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRIGGERS = ("audit_no_update", "audit_no_delete", "audit_no_change")


def noted(store, count=3):
    for number in range(count):
        audit.note(store.database, "key.add", f"k{number}", who="ada", at=AT, detail={"n": number})


def run(store, sql):
    with store.database.writing() as connection:
        connection.execute(sqlalchemy.text(sql))


def without_triggers(store):
    """As an attacker with the rights of the owner would go about it."""
    with store.database.writing() as connection:
        for name in TRIGGERS:
            if store.database.dialect == "sqlite":
                connection.execute(sqlalchemy.text(f"DROP TRIGGER IF EXISTS {name}"))
            else:
                connection.execute(sqlalchemy.text(f"DROP TRIGGER IF EXISTS {name} ON audit"))


def test_entries_say_who_when_from_where_and_why(store):
    token = change_source.set("gateway, 10.0.0.7")
    try:
        audit.note(store.database, "route.save", "r", who="boss", at=AT, why="looks good")
    finally:
        change_source.reset(token)
    audit.note(store.database, "key.add", "k", who="ada", at=AT)
    first, second = audit.entries(store.database)
    assert (first.who, first.at, first.why, first.source) == ("boss", AT, "looks good", "gateway, 10.0.0.7")
    assert second.previous == first.hash and "@" in second.source
    assert audit.check(store.database).faults == ()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET who = 'eve' WHERE number = 2",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit",
    ],
)
def test_the_database_refuses_changes(store, sql):
    noted(store)
    with pytest.raises(StorageError, match="only grows"):
        run(store, sql)
    assert audit.check(store.database).entries == 3


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE audit SET who = 'eve' WHERE number = 2", "entry 2 was changed"),
        ("UPDATE audit SET detail = '{}' WHERE number = 1", "entry 1 was changed"),
        ("DELETE FROM audit WHERE number = 2", "entries 2 to 2 are missing"),
        ("DELETE FROM audit WHERE number = 1", "entries 1 to 1 are missing"),
        ("DELETE FROM audit WHERE number = 3", "the last entry is 2, and 3 is known"),
        ("DELETE FROM audit", "the last entry is 0, and 3 is known"),
    ],
)
def test_what_was_done_in_spite_of_that_is_noticed(store, sql, fault):
    noted(store)
    without_triggers(store)
    run(store, sql)
    assert any(fault in one for one in audit.check(store.database).faults)


def test_a_head_noted_elsewhere_finds_a_chain_that_was_made_newly(store):
    noted(store)
    head = audit.check(store.database).head
    assert audit.check(store.database, head=head).faults == ()
    assert "was noted is not there" in audit.check(store.database, head="3:beef").faults[0]


def test_a_change_of_a_route_and_its_entry_are_one(store):
    route = Route(name="r", model="m", incumbent=Target(endpoint="i"))
    store.save_route(route, who="ada", at=AT, why="new")
    store.delete_route("r", who="bob", at=AT)
    assert [(one.action, one.who, one.why) for one in audit.entries(store.database)] == [
        ("route.save", "ada", "new"),
        ("route.delete", "bob", ""),
    ]


def test_options_of_a_command_are_not_kept(monkeypatch):
    monkeypatch.setattr("sys.argv", ["freehold", "forget", "--user", "ada@example.com"])
    assert audit.this_process().endswith(": forget")
