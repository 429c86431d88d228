import sqlite3
import stat
import threading

import pytest
from sqlalchemy import func, select
from tests.store.care.test_check import change, fill
from tests.store.examples import trace

from freehold.errors import StorageError, StoreError, UsageError
from freehold.store import open_store
from freehold.store.backup import backup, copy_all, copy_file, require_backup
from freehold.store.check import check
from freehold.store.database import Database
from freehold.store.tables import metadata, store_facts, trace_blocks


def test_a_backup_is_one_whole_private_file_that_reads_the_same(url, tmp_path):
    fill(url)
    target, told = tmp_path / "b.sqlite", []
    made = backup(url, target, tell=lambda done, total: told.append(done))
    assert made.check.healthy and made.check.rows == check(url).rows and told
    assert stat.S_IMODE(target.stat().st_mode) == 0o600 and made.size_bytes == target.stat().st_size
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("b.sqlite")] == ["b.sqlite"]
    with open_store(url) as store, open_store(f"sqlite:///{target}") as copy:
        assert list(copy.traces()) == list(store.traces()) and copy.routes() == store.routes()


def test_writers_go_on_while_a_backup_is_made(url, tmp_path):
    """What is written meanwhile is not in the copy, or is in it whole; the copy does not begin again and again."""
    fill(url, count=3000)
    stop, written = threading.Event(), []

    def write():
        with open_store(url) as store:
            number = 10_000
            while not stop.is_set():
                written.append(store.add_traces([trace(number, id=f"w{number}")]))
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = backup(url, tmp_path / "b.sqlite")
    finally:
        stop.set()
        thread.join()
    assert made.check.healthy and made.check.rows["traces"] >= 3000 and written
    with open_store(url) as store:
        assert store.count_traces() == 3000 + len(written)


def test_nothing_is_written_over_and_nothing_half_is_left(url, tmp_path):
    fill(url)
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        backup(url, tmp_path / "there")
    with pytest.raises(StorageError, match="cannot be written"):
        backup(url, tmp_path / "no" / "folder")
    with pytest.raises(StoreError, match="there is no store"):
        backup(f"sqlite:///{tmp_path}/none", tmp_path / "b.sqlite")
    assert not list(tmp_path.glob("b.sqlite*")) and (tmp_path / "there").read_text() == "mine"


def test_damage_in_the_store_is_told_with_the_backup(url, tmp_path):
    from sqlalchemy import update

    fill(url)
    change(url, update(trace_blocks).where(trace_blocks.c.place == 1).values(body=b"\x01broken"))
    assert backup(url, tmp_path / "b").check.damaged[0].key == "1 (16 traces)"


def test_a_file_that_is_no_backup_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"a diary" * 1000)
    with pytest.raises(StoreError, match="is not a freehold store"):
        require_backup(tmp_path / "x")
    with pytest.raises(UsageError, match="no such file"):
        require_backup(tmp_path / "y")


def test_rows_go_from_one_database_to_another(url, tmp_path):
    fill(url)
    copy_file_of = tmp_path / "c.sqlite"
    backup(url, copy_file_of)
    copy_file(copy_file_of, tmp_path / "d.sqlite", lambda done, total: None)
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        assert connection.execute("SELECT sum(traces) FROM trace_blocks").fetchone() == (40,)
    connection.close()
    source, target = Database(url), Database(f"sqlite:///{tmp_path}/e.sqlite")
    with source.reading() as read, target.writing() as write:
        rows = sum(
            read.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        )
        assert copy_all(read, write, lambda done, total: None) == rows > 46
        facts = select(store_facts).order_by(store_facts.c.name)
        assert write.execute(facts).all() == read.execute(facts).all(), "it is the same store"
    source.close()
    target.close()
