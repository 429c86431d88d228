"""What can be wrong with a database, and what a person is told about it."""

import os
import secrets
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from tests.store.examples import put

from freehold.errors import StorageError, StoreError
from freehold.store import default_url, open_store
from freehold.store.damage import may_blame_the_data


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


def test_a_read_only_store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        with store.database.reading() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
        with pytest.raises(StorageError, match="no write access") as error:
            put(store)
        assert not isinstance(error.value, StoreError) and error.value.hint


@pytest.mark.process
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


def test_what_may_blame_what_was_sent_is_told_apart_from_the_store(store):
    def raised(act):
        with pytest.raises(Exception) as caught:
            act()
        return caught.value

    def sql(statement, **values):
        with store.database.writing() as connection:
            connection.execute(text(statement), values)

    fact = "INSERT INTO store_facts (name, value) VALUES (:name, :value)"
    assert may_blame_the_data(raised(lambda: sql(fact, name="x", value=None)))
    assert may_blame_the_data(raised(lambda: sql(fact, name="x", value="\ud800")))
    assert may_blame_the_data(raised(lambda: sql("INSERT INTO counters VALUES ('x', :many)", many=1 << 70)))
    for error in (
        MemoryError(),
        OSError(28, "No space left on device"),
        StoreError("said by freehold itself"),
    ):
        assert not may_blame_the_data(error)


@pytest.mark.postgres
def test_a_server_that_takes_no_more_connections_is_told_from_one_that_is_down(url):
    if url.startswith("sqlite"):
        return
    server, role = make_url(url), f"few_{secrets.token_hex(4)}"
    with open_store(url) as store, store.database.writing() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
    try:
        few = server.set(username=role, password=None).render_as_string(hide_password=False)
        with pytest.raises(StoreError, match="takes no more connections") as caught:
            open_store(few)
        assert caught.value.retryable
    finally:
        with open_store(url) as store, store.database.writing() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
