import random
import sqlite3

import pytest
from sqlalchemy import delete, update
from tests.store.examples import NOON, Note, put, trace

from freehold.errors import StorageError, StoreError
from freehold.store import default_url, open_store, rollouts
from freehold.store.care.check import check
from freehold.store.database import Database
from freehold.store.tables import counters, metadata, records, traces
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
    assert found.healthy and found.unsealed == 0 and found.orphans == ()
    assert found.rows["traces"] == 40 and told[-1] == (45, 45)
    assert found.newest_trace.minute == 0 and found.newest_trace.second == 39


def test_each_damaged_row_is_named(url):
    fill(url)
    change(url, update(traces).where(traces.c.id == "t007").values(model="gpt-4p"))
    change(url, update(records).where(records.c.kind == "note").values(body=b"\x01\x00\x00\x00\x00{}"))
    found = check(url)
    assert not found.healthy and found.damaged_rows == 2
    assert {(row.table, row.key) for row in found.damaged} == {("traces", "t007"), ("records", "note/a")}
    assert check(url, quick=True).healthy


def test_references_that_lead_nowhere_are_left_over_and_not_damage(url):
    fill(url)
    change(url, delete(records))
    with open_store(url) as store:
        rollouts.learn(store.database, "o", known_version=0, state=b"{}", windows=[], scores={"t1": b"1"})
    found = check(url)
    assert found.healthy and len(found.orphans) == 3
    assert "the step import has finished, and its result is gone" in found.orphans


def test_a_counter_behind_its_history_is_a_problem(url):
    fill(url)
    change(url, update(counters).values(value=0))
    assert "newest route change is 1, and its counter says 0" in check(url).problems[0]


def test_nothing_is_made_or_brought_forward_by_looking(tmp_path):
    url = default_url(tmp_path)
    with pytest.raises(StoreError, match="there is no store"):
        check(url)
    assert list(tmp_path.iterdir()) == []
    fill(url)
    holder = sqlite3.connect(tmp_path / "freehold.sqlite3")
    holder.execute("UPDATE alembic_version SET version_num = '0003'")
    holder.commit()
    assert "schema 0003" in check(url).problems[0]
    assert holder.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
    holder.execute("UPDATE alembic_version SET version_num = '9999'")
    holder.commit()
    holder.close()
    with pytest.raises(StoreError, match="schema 9999"):
        check(url)
    database = Database(url, as_is=True)
    with pytest.raises(StorageError, match="no write access"), database.writing() as connection:
        connection.execute(delete(traces))
    database.close()


def test_a_file_that_is_no_store_is_a_problem(tmp_path):
    (tmp_path / "freehold.sqlite3").write_bytes(b"a diary, not a database" * 100)
    found = check(default_url(tmp_path))
    assert not found.healthy and "not a freehold store" in found.problems[0]


def test_a_bit_that_turns_over_in_the_file_is_noticed_or_changes_nothing(tmp_path):
    """Each of 150 copies of a store's file has one flipped bit. What check calls well must read as it was written."""
    url = default_url(tmp_path)
    fill(url, count=600)
    path = tmp_path / "freehold.sqlite3"
    whole, chance, noticed = path.read_bytes(), random.Random(5), 0
    expected = dump(path)
    for _ in range(150):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            found = check(url)
        except StorageError:
            noticed += 1
            continue
        if not found.healthy:
            noticed += 1
        else:
            assert dump(path) == expected
    assert noticed > 60


def dump(path):
    connection = sqlite3.connect(path)
    rows = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in metadata.tables
    }
    connection.close()
    return rows
