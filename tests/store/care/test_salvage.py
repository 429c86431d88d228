import sqlite3

import pytest
from sqlalchemy import update
from tests.store.care.test_check import change, fill
from tests.store.examples import Note, trace
from tests.store.released import TRACES, plant

from freehold.errors import UsageError
from freehold.store import default_url, open_store
from freehold.store.care.check import check
from freehold.store.care.salvage import salvage
from freehold.store.care.walk import PagesOfFile
from freehold.store.tables import traces


def test_a_whole_store_is_salvaged_whole(url, tmp_path):
    fill(url)
    made = salvage(url, tmp_path / "new")
    assert made.rows["traces"] == 40 and made.damaged == () and made.broken == () and made.from_pages == 0
    with open_store(url) as old, open_store(f"sqlite:///{tmp_path}/new") as new:
        assert list(new.traces()) == list(old.traces()) and new.routes() == old.routes()
        assert new.get(Note, "a") == old.get(Note, "a") and new.sources(Note, "a") == ("a",)
    assert check(f"sqlite:///{tmp_path}/new").healthy


def test_a_damaged_row_is_listed_and_the_others_kept(url, tmp_path):
    fill(url)
    change(url, update(traces).where(traces.c.id == "t003").values(body=b"\x01broken"))
    made = salvage(url, tmp_path / "new")
    assert made.rows["traces"] == 39 and [(row.table, row.key) for row in made.damaged] == [
        ("traces", "t003")
    ]
    with pytest.raises(UsageError, match="exists"):
        salvage(url, tmp_path / "new")


def broken(tmp_path, spoil, count=600):
    """A store whose file `spoil` has changed."""
    url = default_url(tmp_path)
    fill(url, count=count)
    path = tmp_path / "freehold.sqlite3"
    data = bytearray(path.read_bytes())
    spoil(data, path)
    path.write_bytes(data)
    return url


def root_of(path, table):
    connection = sqlite3.connect(path)
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    connection.close()
    return root


def test_rows_are_had_from_the_pages_when_a_tree_has_lost_its_root(tmp_path):
    def spoil(data, path):
        at = (root_of(path, "traces") - 1) * 4096
        data[at : at + 4096] = bytes(4096)

    url = broken(tmp_path, spoil)
    assert not check(url).healthy
    made = salvage(url, tmp_path / "new")
    assert made.rows["traces"] == 600 == made.from_pages and made.broken
    with open_store(f"sqlite:///{tmp_path}/new") as store:
        assert [one.id for one in store.traces()] == [f"t{number:03}" for number in range(600)]


def test_rows_are_had_from_the_pages_when_the_schema_is_gone(tmp_path):
    def spoil(data, path):
        data[100:4096] = bytes(3996)

    url = broken(tmp_path, spoil)
    made = salvage(url, tmp_path / "new")
    assert made.rows["traces"] == 600 and made.rows["records"] == 2
    with open_store(f"sqlite:///{tmp_path}/new") as store:
        assert [route.name for route in store.routes()] == ["r"] and store.routes_revision() == 1
        assert store.get(Note, "a").text == "x"


def test_a_lost_page_costs_its_own_rows(tmp_path):
    def spoil(data, path):
        pages = PagesOfFile(path)
        leaves = [
            n for n in range(2, pages.count + 1) if pages.page(n)[0] == 13 and b"gpt-4o" in pages.page(n)
        ]
        at = (leaves[5] - 1) * 4096
        data[at : at + 4096] = b"\xff" * 4096

    made = salvage(broken(tmp_path, spoil), tmp_path / "new")
    assert 560 < made.rows["traces"] < 600


def test_what_was_deleted_stays_deleted(tmp_path):
    url = default_url(tmp_path)
    fill(url, count=300)
    with open_store(url) as store, store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM traces WHERE seq <= 200")
    path = tmp_path / "freehold.sqlite3"
    data = bytearray(path.read_bytes())
    data[100:4096] = bytes(3996)
    path.write_bytes(data)
    assert salvage(url, tmp_path / "new").rows["traces"] == 100


def test_long_rows_and_rows_of_before_checksums_are_had_from_the_pages(tmp_path, monkeypatch):
    path = tmp_path / "freehold.sqlite3"
    plant(path, "0003", monkeypatch)
    with open_store(default_url(tmp_path)) as store:
        text = "".join(chr(33 + n * 7919 % 90) for n in range(40_000))
        store.add_traces([trace(1, id="long", request={"messages": [{"role": "user", "content": text}]})])
    data = bytearray(path.read_bytes())
    data[100:4096] = bytes(3996)
    path.write_bytes(data)
    made = salvage(default_url(tmp_path), tmp_path / "new")
    with open_store(f"sqlite:///{tmp_path}/new") as store:
        assert [one.id for one in store.traces()] == [*(one.id for one in TRACES), "long"]
        assert store.get_trace("long").request["messages"][0]["content"] == text
    assert made.rows["spending"] == 1 and made.rows["steps"] == 1


def test_what_is_in_the_log_of_a_store_behind_a_link_is_kept(tmp_path):
    """SQLite keeps the log next to the file, not next to the link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "disk" / "real")
    url = f"sqlite:///{tmp_path}/s"
    with open_store(url) as store:
        store.add_traces([trace(1)])
        store.database.close()
        with store.database.raw_sqlite() as raw:
            raw.execute("PRAGMA wal_autocheckpoint=0")
            store.add_traces([trace(2)])
            assert salvage(url, tmp_path / "saved").rows["traces"] == 2
