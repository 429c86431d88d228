"""Stores that are looked through: rows by rows, and what is damaged."""

import pytest
from sqlalchemy import delete, update
from tests.store.examples import NOON, Note, put, trace

from freehold.errors import StorageError, StoreError
from freehold.store import default_url, open_store
from freehold.store.check import SEALED, check, key_of, pages
from freehold.store.database import Database
from freehold.store.tables import metadata, records, store_facts, trace_blocks, trace_ids
from freehold.types.route import Route, Target


def fill(url, count=40):
    with open_store(url) as store:
        store.add_traces(trace(number, id=f"t{number:03}") for number in range(count))
        put(store)
        store.put(Note(text="x"), made_from=["a"])
        store.save_route(Route(name="r", model="m", incumbent=Target(endpoint="e")), who="ada", at=NOON)


def change(url, statement):
    with open_store(url) as store, store.database.writing() as connection:
        connection.execute(statement)


def test_a_whole_store_is_said_to_be(url):
    fill(url)
    told = []
    found = check(url, tell=lambda done, total: told.append((done, total)))
    assert found.healthy
    assert found.rows["traces"] == 40 and told[-1] == (8, 8)
    assert found.newest_trace.minute == 0 and found.newest_trace.second == 39


def test_each_damaged_row_is_named(url):
    fill(url)
    change(url, update(trace_blocks).where(trace_blocks.c.place == 17).values(body=b"\x00" * 99))
    change(url, update(records).where(records.c.kind == "note").values(body=b"\x00\x00\x00\x00{}"))
    found = check(url)
    assert not found.healthy and found.damaged_rows == 2
    assert {(row.table, row.key) for row in found.damaged} == {
        ("trace_blocks", "17 (16 traces)"),
        ("records", "note/a"),
    }


def test_nothing_is_made_or_written_by_looking(tmp_path):
    url = default_url(tmp_path)
    with pytest.raises(StoreError, match="there is no store"):
        check(url)
    assert list(tmp_path.iterdir()) == []
    fill(url)
    database = Database(url, as_is=True)
    with pytest.raises(StorageError, match="no write access"), database.writing() as connection:
        connection.execute(delete(trace_blocks))
    database.close()
    change(url, update(store_facts).where(store_facts.c.name == "schema").values(value="9999"))
    assert "its schema is 9999" in check(url).problems[0]


def test_a_file_that_is_no_store_is_a_problem(tmp_path):
    (tmp_path / "freehold.sqlite3").write_bytes(b"a diary, not a database" * 100)
    found = check(default_url(tmp_path))
    assert not found.healthy and "not a freehold store" in found.problems[0]


def test_every_table_with_bodies_is_here():
    binary = {
        table.name
        for table in metadata.tables.values()
        for column in table.columns
        if str(column.type) == "BLOB" and not column.primary_key
    }
    assert {kind.name for kind in SEALED} == binary


def test_pages_take_every_row_once_whatever_the_key(store):
    store.add_traces(trace(number, id=f"t{number}") for number in range(7))
    with store.database.reading() as connection:
        found = [row.place for page in pages(connection, trace_ids, most=3) for row in page]
        assert found == list(range(1, 8))
        assert key_of(trace_blocks, next(pages(connection, trace_blocks))[0]) == (1,)
