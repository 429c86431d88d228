"""A store's file shrinks when rows leave it, and so does its log."""

import random
import sqlite3
from contextlib import closing
from datetime import timedelta

from tests.store.examples import NOON, Note, put, trace

from freehold.gateway.capture.retention import Retention, RetentionClock
from freehold.store import default_url, open_store, rollouts
from freehold.store.erase import erase_mentions, erase_traces, give_back, scrub
from freehold.store.rollouts import WindowRow
from freehold.store.tables import to_micros

NAME = "freehold.sqlite3"


def fill(store, count=300):
    """With what hardly compresses: 300 are some 6 MB."""
    drawn = random.Random(1)
    texts = (drawn.randbytes(20_000).hex() for _ in range(count))
    said = ([{"role": "user", "content": text}] for text in texts)
    store.add_traces(trace(n, id=f"t{n}", request={"messages": one}) for n, one in enumerate(said))


def sizes(folder):
    log = folder / f"{NAME}-wal"
    return (folder / NAME).stat().st_size, log.stat().st_size if log.exists() else 0


def test_after_retention_the_file_is_smaller_and_its_log_is_empty(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        fill(store)
        with store.database.raw_sqlite() as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before, _ = sizes(tmp_path)
        assert before > 5_000_000
        Retention(None, 300_000).sweep(store)
        after, log = sizes(tmp_path)
        assert after < 1_800_000 + 300_000 and log == 0
        assert 0 < store.count_traces() < 30
        assert list(store.traces()), "what is left can be read"
        with store.database.raw_sqlite() as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def retention_clock(now):
    return RetentionClock(believed=to_micros(now), place=300)


def test_a_little_room_stays_for_what_is_written_next(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        fill(store, 20)
        store.delete_traces(before=NOON + timedelta(days=60))
        assert give_back(store.database) == 0


def test_a_reader_that_holds_the_log_does_not_keep_the_room(tmp_path):
    with open_store(default_url(tmp_path), busy_timeout_ms=100) as store:
        fill(store)
        with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT sum(traces) FROM trace_blocks").fetchone()
            store.shrink_traces(300_000)
            assert give_back(store.database) > 3_000_000
        store.put(retention_clock(NOON))
    assert sizes(tmp_path)[0] < 2_000_000


def test_traces_go_with_what_was_mirrored_from_them(store):
    store.add_traces([trace(1, id="a"), trace(2, id="b", parent_id="a"), trace(3, id="c")])
    assert erase_traces(store.database, ["a"], dry_run=True) == 2 and store.count_traces() == 3
    assert erase_traces(store.database, ["a"]) == 2
    assert [one.id for one in store.traces()] == ["c"]


def test_records_and_windows_that_mention_a_person_go(store):
    store.put(Note(id="a", text="of ada"))
    store.put(Note(id="b", text="of bob"))
    put(store)
    windows = [WindowRow("pair", name, 1, True, b'{"pairs":["x"]}') for name in ("ada", "bob")]
    rollouts.learn(store.database, "r", known_version=0, state=b"{}", windows=windows)

    def mentions(content):
        return b"ada" in content

    expected = {"note": 1, "rollout_windows": 1}
    assert erase_mentions(store.database, mentions, dry_run=True) == expected
    assert erase_mentions(store.database, mentions) == expected
    assert erase_mentions(store.database, mentions) == {}
    assert [one.id for one in store.records(Note)] == ["b"]
    assert erase_mentions(store.database, mentions, steps=lambda content: b'"x"' in content) == {"step": 1}


def test_nothing_of_deleted_rows_is_left_in_the_files(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        with store.database.reading() as connection:
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        for number in range(300):
            store.put(Note(id=f"n{number}", text=f"SECRETWORD {number} " * 20))
        for number in range(300):
            store.delete(Note, f"n{number}")
        assert scrub(store.database)
        for path in tmp_path.iterdir():
            assert b"SECRETWORD" not in path.read_bytes()


def test_a_reader_that_holds_the_log_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr("freehold.store.erase._CHECKPOINT_WITHIN_S", 0.3)
    with open_store(default_url(tmp_path)) as store:
        store.put(Note(text="x"))
        reader = sqlite3.connect(tmp_path / "freehold.sqlite3", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        store.put(Note(text="y"))
        with store.database.reading() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=100")
        assert not scrub(store.database)
        reader.close()
        assert scrub(store.database)
