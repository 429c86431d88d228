"""Blocks of traces, and the room that they give back when traces leave: not a byte stays."""

import random
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.store.examples import NOON, Note, put
from tests.store.examples import trace as example

from freehold.gateway.capture.retention import Retention, RetentionClock
from freehold.store import default_url, open_store, rollouts
from freehold.store.check import check
from freehold.store.erase import erase_mentions, erase_traces, give_back, scrub
from freehold.store.rollouts import WindowRow
from freehold.store.search import search, traffic
from freehold.store.tables import to_micros, trace_blocks
from freehold.types.trace import TraceQuery


def trace(number, **changes):
    return example(number, **{"id": f"t{number}", **changes})


def found(store, **query):
    return [one.id for one in search(store.database, TraceQuery(**query)).traces]


def secret(number, **changes):
    said = {"messages": [{"role": "user", "content": f"xylophone{number} please"}]}
    return trace(number, request=said, source="gateway", **changes)


def test_several_that_write_at_once_fill_blocks_one_after_another(url):
    with open_store(url) as store:

        def work(base):
            with open_store(url) as own:
                for number in range(base, base + 200, 5):
                    own.add_traces(secret(one) for one in range(number, number + 5))

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work, base) for base in (0, 1000, 2000)]:
                done.result(60)
        assert len(search(store.database, TraceQuery(text="please", most=3000)).traces) == 600
        with store.database.reading() as connection:
            query = select(trace_blocks.c.traces).where(trace_blocks.c.closed)
            assert set(connection.execute(query).scalars()) == {16}
        first = trace(0).at
        assert traffic(store.database, since=first, until=trace(3000).at).incumbent.requests == 600


WRITER = """
import sys
from tests.store.examples import trace
from freehold.store import open_store
with open_store(sys.argv[1]) as store:
    for number in range(int(sys.argv[2]), 100_000, 7):
        store.add_traces(trace(one, id=f"t{one}") for one in range(number, number + 7))
        print(number + 7, flush=True)
"""


@pytest.mark.process
def test_a_writer_that_is_killed_leaves_whole_batches_that_are_found_by_all_ways(url):
    drawn, stored = random.Random(13), 0
    for _ in range(4):
        script = [sys.executable, "-c", WRITER, url, str(stored)]
        with subprocess.Popen(script, stdout=subprocess.PIPE) as writer:
            told = [int(writer.stdout.readline()) for _ in range(drawn.randint(3, 9))]
            time.sleep(drawn.uniform(0, 0.03))
            writer.kill()
            told += map(int, writer.stdout.read().splitlines())
        with open_store(url) as store:
            store.try_to_add()  # waits for a server that is still about the last batch
            here = [one.id for one in store.traces()]
            assert here == [f"t{number}" for number in range(len(here))]
            assert len(here) - told[-1] in (0, 7) and store.count_traces() == len(here)
            assert set(store.get_traces(here)) == set(here)
            said = search(store.database, TraceQuery(text="paket", most=9999)).traces
            assert len(said) == len(here)
        assert check(url).healthy
        stored = len(here)


def test_a_trace_that_is_gone_leaves_the_others_their_places(store):
    store.add_traces(secret(number) for number in range(40))
    places = {one.id: place for place, one in store.traces_after(0)}
    assert erase_traces(store.database, ["t0", "t20", "t39"]) == 3
    assert {one.id: place for place, one in store.traces_after(0)} == {
        id: place for id, place in places.items() if id not in ("t0", "t20", "t39")
    }
    assert found(store, text="xylophone20") == [] and found(store, text="xylophone21") == ["t21"]
    store.add_traces([secret(50)])
    assert [place for place, _ in store.traces_after(39)] == [41]


def test_what_was_erased_leaves_not_a_byte_in_the_index(tmp_path):
    file = tmp_path / "s.sqlite"
    with open_store(f"sqlite:///{file}") as store:
        said = {"messages": [{"role": "user", "content": "quartz"}]}
        store.add_traces(secret(number) for number in range(300))
        store.add_traces([trace(300, request=said), *(secret(number) for number in range(301, 320))])
        assert b"quartz" in words_in(store)
        erase_traces(store.database, ["t300"])
        assert found(store, text="quartz") == [] and b"quartz" in words_in(store)
        assert scrub(store.database)
        assert b"quartz" not in words_in(store) and b"quartz" not in file.read_bytes()
        assert len(found(store, text="please")) == 50 and found(store, text="xylophone5") == ["t5"]
    assert check(f"sqlite:///{file}").healthy


def words_in(store):
    """The pages of the index of words, as they lie in the file."""
    with store.database.reading() as connection:
        return b"".join(connection.exec_driver_sql("SELECT block FROM trace_words_data").scalars())


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
