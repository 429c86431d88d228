"""A store: its tables, its counters, its schema, and what it is opened as."""

import threading

import pytest
from sqlalchemy import delete, update
from tests.store.examples import Note, trace

from freehold.errors import StoreError
from freehold.store import default_url, open_store
from freehold.store.tables import store_facts


def test_threads_and_stores_share_a_database(url):
    with open_store(url) as first, open_store(url) as second:
        errors = []

        def work(store, base):
            try:
                for number in range(10):
                    store.add_traces(trace(base + number * 7 + part) for part in range(7))
                    store.put(Note(id=f"{base}-{number}", text="x"))
            except StoreError as error:
                errors.append(error)

        threads = [
            threading.Thread(target=work, args=(store, base))
            for base, store in enumerate([first, first, second, second])
            for base in [base * 1000]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert first.count_traces() == 280 and len(second.records(Note)) == 40


def test_a_new_store_has_exactly_the_tables_the_code_knows(store):
    from sqlalchemy import inspect

    from freehold.store.tables import metadata

    with store.database.reading() as connection:
        inspector = inspect(connection)
        names = {name for name in inspector.get_table_names() if not name.startswith("trace_words")}
        assert names == set(metadata.tables)
        for table in metadata.tables.values():
            there = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert there == {column.name: column.nullable for column in table.columns}
            assert {index["name"] for index in inspector.get_indexes(table.name)} >= {
                index.name for index in table.indexes
            }


@pytest.mark.parametrize(
    "change",
    [
        update(store_facts).where(store_facts.c.name == "schema").values(value="9999"),
        delete(store_facts).where(store_facts.c.name == "schema"),
    ],
)
def test_a_store_of_another_version_is_refused_and_left_as_it_is(tmp_path, change):
    with open_store(default_url(tmp_path)) as store, store.database.writing() as connection:
        connection.execute(change)
    before = (tmp_path / "freehold.sqlite3").read_bytes()
    with pytest.raises(StoreError, match="is of another version of freehold") as error:
        open_store(default_url(tmp_path))
    assert "freehold traces export" in error.value.hint and "freehold import" in error.value.hint
    assert (tmp_path / "freehold.sqlite3").read_bytes() == before


def test_each_new_store_has_an_identity_of_its_own(tmp_path):
    from freehold.store.routes import stored_keys

    ids = set()
    for name in ("a", "b"):
        with open_store(default_url(tmp_path / name)) as store:
            ids.add(stored_keys(store.database).store_id)
    assert len(ids) == 2 and "" not in ids
