import sqlite3

from tests.store.examples import Note, put, trace

from freehold.store import default_url, open_store, rollouts
from freehold.store.care.erase import erase_mentions, erase_traces, scrub
from freehold.store.rollouts import WindowRow


def test_traces_go_with_what_was_mirrored_from_them(store):
    store.add_traces([trace(1, id="a"), trace(2, id="b", parent_id="a"), trace(3, id="c")])
    assert erase_traces(store.database, ["a"], dry_run=True) == 2 and store.count_traces() == 3
    assert erase_traces(store.database, ["a"]) == 2
    assert [one.id for one in store.traces()] == ["c"]


def test_records_and_windows_that_mention_a_person_go(store):
    store.put(Note(id="a", text="of ada"))
    store.put(Note(id="b", text="of bob"))
    put(store)
    windows = [WindowRow("pair", name, 0, 1, True, b'{"pairs":["x"]}') for name in ("ada", "bob")]
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
    monkeypatch.setattr("freehold.store.care.erase._CHECKPOINT_WITHIN_S", 0.3)
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
