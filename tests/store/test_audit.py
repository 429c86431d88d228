"""The audit record only grows, a cut is noticed, and no change of the store goes without an entry or a reason."""

import ast
import importlib
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy

from freehold import types
from freehold.errors import StorageError
from freehold.store import audit, open_store
from freehold.types.audit import Change, change_source
from freehold.types.record import StoredRecord
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


class Counted(StoredRecord, frozen=True, kw_only=True):
    kind = "counted"
    id: str
    unaudited = "a test's"


class Judged(StoredRecord, frozen=True, kw_only=True):
    kind = "judged"
    id: str


def test_a_record_and_its_entry_are_one_unless_its_kind_needs_none(store):
    store.put(Counted(id="a"))
    store.put(Judged(id="b"))
    store.put(
        Judged(id="c"), change=Change(action="judged.well", who="ada", at=AT, why="seen", detail={"n": 1})
    )
    store.delete(Judged, "b")
    store.delete(Judged, "b")
    first, second, third = audit.entries(store.database)
    assert (first.action, first.subject, first.who) == ("judged.save", "b", audit.this_user())
    assert (second.action, second.who, second.at, second.why, second.detail) == (
        "judged.well",
        "ada",
        AT,
        "seen",
        {"n": 1},
    )
    assert (third.action, third.subject) == ("judged.delete", "b")
    assert abs((datetime.now(UTC) - third.at).total_seconds()) < 60


def count(store, number, at):
    with store.database.writing() as connection:
        audit.tally(connection, "traces.expire", "traces", number, at=at, why="age")


def test_what_is_done_again_and_again_has_an_entry_a_day_and_much_of_it_at_once(store):
    for number in (3, 4):
        count(store, number, AT)
    assert audit.check(store.database).entries == 0
    count(store, 1, AT + timedelta(days=1))
    count(store, audit.LARGE, AT + timedelta(days=1))
    count(store, 2, AT + timedelta(days=1))
    count(store, 5, AT + timedelta(days=9))
    found = [(one.detail["day"], one.detail["count"]) for one in audit.entries(store.database)]
    assert found == [("2026-03-01", 7), ("2026-03-02", audit.LARGE + 1), ("2026-03-02", 2)]


SOURCE = Path(audit.__file__).parents[1]
UNAUDITED_WRITERS = {
    "store/audit.py:note": "it writes the entry",
    "store/backup.py:_copy_rows": "a new file; the command that asked for it has an entry",
    "store/erase.py:erase_mentions": "freehold forget has entries before and after",
    "store/erase.py:erase_traces": "freehold forget has entries before and after",
    "store/erase.py:expect_scrub": "that overwriting is due: freehold forget has entries before and after",
    "store/erase.py:scrub": "that overwriting is done: freehold forget has entries before and after",
    "store/backup.py:_mend_words": "an index of traces that are there",
    "store/backup.py:_replace_rows": "the command has an entry in the store that it brought back",
    "store/database.py:__init__": "a new store's tables",
    "store/shares.py:exchange": "what each gateway may use just now: nothing that is kept",
    "store/leases.py:take": "which process looks just now: nothing that is kept",
    "store/leases.py:take_from": "which process looks just now: nothing that is kept",
    "store/leases.py:give_back": "which process looks just now: nothing that is kept",
    "store/leases.py:alive": "which process looks just now: nothing that is kept",
    "store/records.py:finish_step": "saves repeating; what comes of a step is a record that has its entry",
    "store/rollouts.py:learn": "what tests took in of traces; what they decide has its entry",
    "store/traces.py:add_traces": "traffic itself, thousands a second; an import has entries before and after",
    "store/traces.py:try_to_add": "nothing is kept",
    "store/traces.py:replace_trace": "feedback of a client: the trace says whose key and when",
    "store/traces.py:_mark": "of an import, which has entries before and after",
    "store/traces.py:bring_in": "of an import, which has entries before and after",
    "store/shares.py:book": "what is counted of traffic",
}
"""Functions that open a transaction to write and make no entry in it, and why not."""


def writers():
    """Every function that opens a transaction to write, and whether it makes an entry."""
    for path in sorted(SOURCE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            names = [ast.unparse(call.func) for call in calls]
            if any(name.endswith(("database.writing", "self.writing", "copy.writing")) for name in names):
                notes = any(name in NOTING for name in names)
                yield f"{path.relative_to(SOURCE)}:{function.name}", notes


NOTING = ("append", "audit.append", "audit.append_change", "audit.tally", "_note", "keep_within")


@pytest.mark.process
def test_no_change_goes_without_an_entry_or_a_reason():
    found = list(writers())
    assert {name for name, notes in found if not notes or name == "store/audit.py:note"} == set(
        UNAUDITED_WRITERS
    )
    assert sum(notes for _, notes in found) > 6


def test_every_kind_of_record_without_an_entry_says_why():
    for module in pkgutil.walk_packages(types.__path__, "freehold.types."):
        importlib.import_module(module.name)
    kinds = {one.kind: one.unaudited for one in all_kinds(StoredRecord)}
    without = {kind for kind, why in kinds.items() if why is not None} - {"counted"}
    assert without == {"file_route", "look_removal", "retention_clock", "route_alarm", "watch_state"}


def all_kinds(base):
    import freehold.gateway.capture.retention
    import freehold.workflows.watch.watch  # noqa: F401

    for one in base.__subclasses__():
        yield from all_kinds(one)
        if isinstance(getattr(one, "kind", None), str):
            yield one


def test_a_zero_byte_in_a_reason_is_kept_in_every_database(store):
    """PostgreSQL takes none in a text; the hash is over what is kept."""
    audit.note(store.database, "route.save", "r\0", who="a\0", at=AT, why="why\0not", detail={"a": "\0"})
    (entry,) = audit.entries(store.database)
    assert (entry.subject, entry.why, entry.detail) == ("r\ufffd", "why\ufffdnot", {"a": "\0"})
    assert audit.check(store.database).faults == ()
    route = Route(name="r", model="m", incumbent=Target(endpoint="e"))
    store.save_route(route, who="ada", at=AT, why="why\0not")
    assert [change.why for change in store.route_history("r")] == ["why\ufffdnot"]


def test_several_that_count_at_once_lose_no_count_and_break_no_chain(url, store):
    """Two gateways on one store, each of which lets go of old traces."""

    def work(_):
        with open_store(url) as mine:
            for _ in range(20):
                with mine.database.writing() as connection:
                    audit.tally(connection, "traces.expire", "traces", 1, at=AT, why="age")
                audit.note(mine.database, "export", "traces", at=AT)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    with store.database.writing() as connection:
        audit.tally(connection, "traces.expire", "traces", 1, at=AT + timedelta(days=1), why="age")
    (day,) = audit.newest(store.database, action="traces.expire", most=9)
    assert day.detail["count"] == 60 and day.number == 61
    assert not audit.check(store.database).faults
