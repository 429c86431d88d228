"""What can be wrong with a database, and what a person is told about it."""

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from freehold.errors import ConfigError, StorageError, StoreError
from freehold.store import default_url, open_store, schema
from freehold.store.faults import translated


def put(store):
    from datetime import UTC, datetime

    from freehold.types.route import Target

    store.finish_step("import", "hash", Target(endpoint="x"), datetime(2026, 3, 1, tzinfo=UTC))


def test_a_locked_store_is_worth_a_retry(tmp_path):
    with open_store(default_url(tmp_path), busy_timeout_ms=50) as store:
        holder = sqlite3.connect(tmp_path / "freehold.sqlite3", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process") as error:
            put(store)
        assert error.value.retryable and error.value.hint
        holder.execute("ROLLBACK")
        holder.close()
        put(store)


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "freehold.sqlite3").write_bytes(b"a diary, not a database" * 100)
    with pytest.raises(StoreError, match="not a freehold store"):
        open_store(default_url(tmp_path))


def test_a_newer_schema_is_left_alone(tmp_path):
    with open_store(default_url(tmp_path)):
        pass
    holder = sqlite3.connect(tmp_path / "freehold.sqlite3")
    holder.execute("UPDATE alembic_version SET version_num = '9999'")
    holder.commit()
    holder.close()
    with pytest.raises(StoreError, match="schema 9999, this freehold knows up to") as error:
        open_store(default_url(tmp_path))
    assert "upgrade" in (error.value.hint or "")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match="cannot make the folder") as error:
        open_store(default_url(tmp_path / "state" / "deeper"))
    assert "FREEHOLD_STATE" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("url", "message"),
    [("no url at all", "is not a database URL"), ("mysql://host/name", "does not store in mysql")],
)
def test_a_url_that_cannot_be_used(url, message):
    with pytest.raises(ConfigError, match=message):
        open_store(url)


def test_only_the_owner_may_read_the_file(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        put(store)
    assert stat.S_IMODE((tmp_path / "freehold.sqlite3").stat().st_mode) == 0o600


def test_a_read_only_store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        with store.database.reading() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
        with pytest.raises(StorageError, match="no write access") as error:
            put(store)
        assert not isinstance(error.value, StoreError) and error.value.hint


def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path):
    """The file may not grow past a limit, in a process of its own: SQLite then reports a full disk."""
    script = textwrap.dedent(
        """
        import sys
        from datetime import UTC, datetime
        from freehold.errors import StorageError
        from freehold.store import open_store
        from freehold.types.route import Target
        store = open_store(sys.argv[1])
        store.finish_step("small", "hash", Target(endpoint="x"), datetime(2026, 3, 1, tzinfo=UTC))
        with store.database.reading() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        try:
            large = Target(endpoint="y" * 10_000_000)
            store.finish_step("large", "hash", large, datetime(2026, 3, 1, tzinfo=UTC))
        except StorageError as error:
            print(error.message)
        print(store.step_result("small", "hash", Target) is not None, store.step_result("large", "hash", Target))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, default_url(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    said, kept = done.stdout.splitlines()
    assert "is full" in said and kept == "True None"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("connection refused", StoreError, "does not answer"),
        ("unable to open database file", StorageError, "cannot be opened"),
        ("disk I/O error", StorageError, "reports an error"),
        ("something new\nwith a tail", StoreError, "something new$"),
    ],
)
def test_foreign_errors_become_ours(text, kind, message):
    with pytest.raises(kind, match=message), translated("here"):
        raise OperationalError("SELECT 1", {}, sqlite3.OperationalError(text))


def test_the_newest_migration_is_the_one_the_code_names():
    numbers = sorted(path.name[:4] for path in (schema.MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert numbers[-1] == schema.NEWEST
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_migrations_leave_exactly_the_tables_the_code_knows(store):
    from sqlalchemy import inspect

    from freehold.store.tables import metadata

    with store.database.reading() as connection:
        inspector = inspect(connection)
        assert set(inspector.get_table_names()) == {*metadata.tables, "alembic_version"}
        for table in metadata.tables.values():
            there = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert there == {column.name: column.nullable for column in table.columns}
            assert {index["name"] for index in inspector.get_indexes(table.name)} >= {
                index.name for index in table.indexes
            }
