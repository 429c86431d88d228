import sqlite3

import pytest
from tests.store.examples import Note
from tests.store.released import RELEASED, ROUTE, TRACES, plant

from freehold.store import default_url, open_store
from freehold.store.care.sealing import seal_old
from freehold.store.damage import SEEN


@pytest.mark.parametrize("version", RELEASED)
def test_old_rows_get_checksums_and_stay_what_they_are(tmp_path, monkeypatch, version):
    plant(tmp_path / "freehold.sqlite3", version, monkeypatch)
    told = []
    with open_store(default_url(tmp_path)) as store:
        old = 20 + 2 + 1 + 1 + 1 + (3 if version >= "0003" else 0)
        assert seal_old(store.database, told.append) == old
        assert seal_old(store.database) == 0
        assert list(store.traces()) == TRACES and store.routes() == [ROUTE]
        assert store.sources(Note, "a") == ("traces:x",)
        assert store.step_result("import", "h", Note).text == "first"
    assert told == sorted(told) and told[-1] == old + 1
    connection = sqlite3.connect(tmp_path / "freehold.sqlite3")
    for table, column in (("traces", "body"), ("records", "made_from"), ("steps", "outputs")):
        firsts = connection.execute(f"SELECT DISTINCT substr({column}, 1, 1) FROM {table}").fetchall()
        assert firsts == [(b"\x01",)]
    connection.close()


def test_an_old_row_that_is_damaged_already_is_noted_and_left(tmp_path, monkeypatch):
    path = tmp_path / "freehold.sqlite3"
    plant(path, "0003", monkeypatch)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE traces SET body = substr(body, 1, 20) WHERE id = 't3'")
    connection.commit()
    connection.close()
    SEEN.clear()
    with open_store(default_url(tmp_path)) as store:
        assert seal_old(store.database) == 27
        assert len(list(store.traces())) == 19
    assert [(row.table, row.key) for row in SEEN.rows()] == [("traces", "t3")]
    SEEN.clear()
