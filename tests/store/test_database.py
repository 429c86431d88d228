"""A store's database: where it lies, what is synced, what can be wrong with it and what a person is told."""

import os
import secrets
import sqlite3
import stat
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event, make_url, text
from tests.store.examples import NOON, Note, put, trace

from freehold.errors import ConfigError, StorageError, StoreError
from freehold.gateway.config import GatewayConfig
from freehold.store import audit, leases, open_store, shares
from freehold.store.backup import backup
from freehold.store.check import check
from freehold.store.damage import may_blame_the_data
from freehold.store.database import default_url, file_url, is_frozen, store_file
from freehold.types.route import ApiKey, Route, Target


def test_a_watch_tells_of_what_anybody_wrote_and_of_nothing_else(store):
    watch = store.database.watch()
    assert watch.has_news()
    if store.database.dialect == "sqlite":
        assert not watch.has_news()
    store.records(Note)
    if store.database.dialect == "sqlite":
        assert not watch.has_news(), "reading is no news"
    store.put(Note(text="from this process"))
    assert watch.has_news()
    with open_store(store.url) as other:
        other.put(Note(id="b", text="from elsewhere"))
    assert watch.has_news()
    watch.forget()
    assert watch.has_news()
    watch.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match="cannot make the folder") as error:
        open_store(default_url(tmp_path / "state" / "deeper"))
    assert "FREEHOLD_STATE" in (error.value.hint or "")


def test_only_the_owner_may_read_the_file(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        put(store)
    assert stat.S_IMODE((tmp_path / "freehold.sqlite3").stat().st_mode) == 0o600


def test_deleted_bodies_are_overwritten_in_the_file(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        for number in range(50):
            store.put(Note(id=f"n{number}", text="SECRETWORD " * 30))
        for number in range(50):
            store.delete(Note, f"n{number}")
    data = (tmp_path / "freehold.sqlite3").read_bytes()
    assert b"SECRETWORD" not in data
    with open_store(default_url(tmp_path)) as store, store.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1


def test_what_must_outlive_a_power_failure_is_synced_when_it_commits(tmp_path):
    """Read where it counts: the level that is in force when each transaction commits."""
    levels = []
    with open_store(default_url(tmp_path)) as store:

        @event.listens_for(store.database._engine, "commit")
        def _read(connection):
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

        def level_of(act):
            levels.clear()
            act()
            return set(levels)

        key = ApiKey(name="till", hash="0" * 64)
        route = Route(name="r", model="m", incumbent=Target(endpoint="e"))
        durable = {
            "a key": lambda: store.put(key),
            "a route": lambda: store.save_route(route, at=NOON, who="me"),
            "money": lambda: shares.book(
                store.database, [shares.BilledCost("w", 1, "2026-03-01", ["key:till"], Decimal(1))], at=NOON
            ),
            "the audit record": lambda: audit.note(store.database, "export", "x", who="me", at=NOON),
            "a record": lambda: store.put(Note(text="x")),
        }
        assert {name: level_of(act) for name, act in durable.items()} == {name: {2} for name in durable}
        quick = {
            "traces": lambda: store.add_traces([trace(1)]),
            "a lease": lambda: leases.take(store.database, "x", "me", at=NOON, seconds=1),
        }
        assert {name: level_of(act) for name, act in quick.items()} == {name: {1} for name in quick}
        # The level is the transaction's, whichever connection of the pool it gets.
        assert level_of(durable["a key"]) == {2}


def test_a_store_where_nothing_can_be_written_is_read_as_it_is(tmp_path, monkeypatch):
    """On a disk that was mounted read-only a whole store was called damaged, and a backup could not be made."""
    file = tmp_path / "what? a%20b" / "s"
    with open_store(file_url(file)) as store:
        store.add_traces([trace(1)])
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    # Root may write everywhere; SQLite makes no file there either.
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    assert is_frozen(file)
    assert check(file_url(file)).healthy
    assert backup(file_url(file), tmp_path / "b").check.rows["traces"] == 1
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before
    with open_store(file_url(file)):
        assert not is_frozen(file)  # its log says that a process has it open
    assert not is_frozen(tmp_path / "none")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url at all", "is not a database URL"),
        ("mysql://host/name", "does not store in mysql"),
        ("sqlite://data/freehold.sqlite3", "names no file"),
    ],
)
def test_a_url_that_cannot_be_used(url, message):
    with pytest.raises(ConfigError, match=message):
        open_store(url)


ODD = ["ünï what?", "a%20b#", "back\\slash"]


@pytest.mark.parametrize("name", ODD)
def test_a_store_lies_where_its_path_says(tmp_path, name):
    file = tmp_path / name / "s.sqlite"
    with open_store(file_url(file)) as store:
        store.add_traces([trace(1)])
        assert store.database.file == store_file(file_url(file)) == file
    assert list(tmp_path.iterdir()) == [file.parent]
    assert {path.name for path in file.parent.iterdir()} == {"s.sqlite"}
    config = GatewayConfig(endpoints=(), store_url=file_url(file))
    assert config.spool_in(tmp_path / "run") == file.parent / "spool"


def test_a_store_whose_path_was_taken_as_written_is_still_found(tmp_path):
    """SQLAlchemy before 2.1 did so with a URL of one's own that has escapes in it."""
    there = tmp_path / "a%20b" / "s.sqlite"
    with open_store(file_url(there)) as store:
        store.add_traces([trace(1)])
    own = f"sqlite:///{there}"
    with open_store(own) as store:
        assert store.database.file == there and store.count_traces() == 1
    spool = GatewayConfig(endpoints=(), store_url=own).spool_in(tmp_path / "run")
    assert spool == there.parent / "spool" and not (tmp_path / "a b").exists()
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "s.sqlite").touch()
    assert store_file(own) == tmp_path / "a b" / "s.sqlite", "what the URL says comes first"


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
        from freehold.types.route import Target
        from freehold.store import open_store
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
